//go:build !linux

package main

import "github.com/ringfile/ringfile"

const directSupported = false

func openDirect(*ringfile.Engine, string) (file, error) { return nil, errNotDirect }

func volumeOf(string) uint64 { return 0 }
