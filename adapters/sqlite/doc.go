// Package sqlite is a VFS for github.com/ncruces/go-sqlite3 on ringfile.
//
//	import _ "github.com/ringfile/ringfile/adapters/sqlite"
//
//	db, err := sql.Open("sqlite3", "file:app.db?vfs=ringfile")
//
// Its files and locks are compatible with those of the default VFS: programs with either, and sqlite3
// itself where the default VFS is compatible with it, may use a database at the same time. On systems
// other than Linux and macOS the name stands for the default VFS.
package sqlite

// Name is the name of the VFS on ringfile's default engine.
const Name = "ringfile"
