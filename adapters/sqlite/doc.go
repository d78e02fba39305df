// Package sqlite has a VFS for github.com/ncruces/go-sqlite3 whose files are ringfile's.
//
//	import _ "github.com/ringfile/ringfile/adapters/sqlite"
//
//	db, err := sql.Open("sqlite3", "file:app.db?vfs=ringfile")
//
// The files it makes are the default VFS's, and so are the locks: programs with either, and sqlite3 itself where the
// default VFS goes together with that, may use a database at the same time. On systems other than Linux and macOS
// the name stands for the default VFS.
package sqlite

// Name is the name of the VFS on ringfile's default engine.
const Name = "ringfile"
