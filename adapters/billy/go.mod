module github.com/ringfile/ringfile/adapters/billy

go 1.26.0

replace github.com/ringfile/ringfile => ../..

require (
	github.com/go-git/go-billy/v5 v5.9.2
	github.com/ringfile/ringfile v0.1.0
)

require (
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
