//go:build !linux

package bench

import (
	"errors"
	"os"
)

const oDirect = 0 // there is none

func datasync(f *os.File) error { return f.Sync() }

func syncFileSystem(*os.File) error { return nil }

func evict(*os.File) error { return errors.ErrUnsupported }

func inCacheShare(*os.File, int64) float64 { return -1 }

func storageOf(string) storage { return device }

func sameDevice(a, b string) bool { return false }

func machineStat() string { return "" }

func watchThreads() func() (threads, workers int) { return func() (int, int) { return 0, 0 } }
