module github.com/ringfile/ringfile

go 1.26.0

require golang.org/x/sys v0.49.0

require golang.org/x/sync v0.24.0
