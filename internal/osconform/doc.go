// Package osconform runs Go's own tests of package os against ringfile.
//
// The tests are read from the Go installation when TestGoOSTests runs. Their imports are rewritten
// to the packages below this one: os is the standard library's os with File, and what opens one,
// taken from ringfile; exec, testenv, testpty, poll, unix and nettest stand in for packages that
// only the standard library can import, or that know no other File than os.File. The rewritten
// files are never stored here: the go command sees them through an overlay, in a directory of this
// module that does not exist.
//
// exceptions.txt names every test that is left out, with the reason.
package osconform
