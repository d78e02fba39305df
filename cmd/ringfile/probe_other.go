//go:build !linux

package main

import "github.com/ringfile/ringfile"

// Only Linux has io_uring; ringfile.New says so, and there is little else to probe.

func errnoName(error) string { return "" }

func probeSystem() (release string, system *systemReport) { return "", nil }

func probeRing() *ringReport { return nil }

func probePath(_ *ringfile.Engine, path string) *pathReport {
	return &pathReport{Path: path, Kind: "path", TestedOn: "nothing", Note: "paths are probed on Linux only", Routes: []routeUsed{}}
}
