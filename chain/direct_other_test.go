//go:build !linux

package chain_test

import "os"

const oDirect = 0

func datasync(f *os.File) error { return f.Sync() }
