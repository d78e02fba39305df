//go:build !linux

package main

import (
	"context"
	"errors"
	"runtime"

	"github.com/ringfile/ringfile/internal/bench"
)

func describeMachine(m *bench.Machine) { m.Kernel = "unknown" }

func givenPlace(dir string) place {
	p := place{dir: dir, close: func() error { return nil }}
	p.Name, p.Type, p.Device = "dir", "unknown", "unknown"
	return p
}

func canMake(string) error { return errors.New("--fs: not possible on " + runtime.GOOS) }

func makePlace(_ context.Context, name, _ string, _ int64) (place, error) {
	return place{}, canMake(name)
}
