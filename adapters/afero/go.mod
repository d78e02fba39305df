module github.com/ringfile/ringfile/adapters/afero

go 1.26.0

replace github.com/ringfile/ringfile => ../..

require (
	github.com/ringfile/ringfile v0.1.0
	github.com/spf13/afero v1.15.0
)

require (
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)
