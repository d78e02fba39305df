module github.com/ringfile/ringfile/test/faults

go 1.26.0

require (
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/ringfile/ringfile v0.0.0-00010101000000-000000000000
	github.com/ringfile/ringfile/examples v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0
)

require golang.org/x/sync v0.24.0

replace github.com/ringfile/ringfile => ../../

replace github.com/ringfile/ringfile/examples => ../../examples
