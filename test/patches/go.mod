module github.com/ringfile/ringfile/test/patches

go 1.26.0

require (
	github.com/ringfile/ringfile v0.0.0-00010101000000-000000000000
	github.com/ringfile/ringfile/test/faults v0.0.0-00010101000000-000000000000
)

require (
	github.com/hanwen/go-fuse/v2 v2.12.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/ringfile/ringfile => ../../
	github.com/ringfile/ringfile/examples => ../../examples
	github.com/ringfile/ringfile/test/faults => ../faults
)
