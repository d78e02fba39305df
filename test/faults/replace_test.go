package faults_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/durable"
)

func durableReplace(e *ringfile.Engine, dir, name string, content []byte) error {
	return durable.On(e).ReplaceFile(context.Background(), filepath.Join(dir, name), content, 0o600)
}

func replaceUnsafely(e *ringfile.Engine, dir, name string, content []byte, sync func(*ringfile.File) error) error {
	f, err := e.Create(filepath.Join(dir, name+".new"))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, sync(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

// replacing is a workload that replaces a file, which holds a single record, again and again.
func replacing(name string, replace func(e *ringfile.Engine, dir, name string, content []byte) error) workload {
	run := func(e *ringfile.Engine, dir string, rng *rand.Rand, promise func(uint64) error) (uint64, error) {
		const times = 60
		for seq := uint64(1); seq <= times; seq++ {
			if err := replace(e, dir, "state", appendRecord(nil, seq, 1+rng.IntN(20000))); err != nil {
				return seq, err
			}
			if err := promise(seq); err != nil {
				return seq, err
			}
		}
		return times, nil
	}
	check := func(dir string, promised uint64) error {
		p, err := os.ReadFile(filepath.Join(dir, "state"))
		if errors.Is(err, os.ErrNotExist) {
			return &lostError{promised, 0, "no file"}
		} else if err != nil {
			return err
		}
		if seq, n := parseRecord(p); n != len(p) || seq < promised {
			return &lostError{promised, seq, "a file that is old or broken"}
		}
		return nil
	}
	return workload{name, run, check}
}

func noSync(*ringfile.File) error { return nil }

func replaceWithoutSync(e *ringfile.Engine, dir, name string, content []byte) error {
	return replaceUnsafely(e, dir, name, content, noSync)
}
