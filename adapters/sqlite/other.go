//go:build !linux && !darwin

package sqlite

import "github.com/ncruces/go-sqlite3/vfs"

func init() { vfs.Register(Name, vfs.Find("")) }
