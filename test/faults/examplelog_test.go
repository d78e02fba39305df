package faults_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/log/wal"
)

// TestPowerCutsExample has the power fail while many append to the log of examples/log: what it finds when it is
// opened again is all that was acknowledged, and it can go on from there.
func TestPowerCutsExample(t *testing.T) {
	all := []workload{{"log", appendToExample, checkExample}}
	powerCuts(t, all, *states, func(t *testing.T, fs string, w workload, n int, rng *rand.Rand) {
		for _, err := range powerCut(t, fs, w, n, rng) {
			t.Error(err)
		}
	})
}

// exampleRecord is what is appended as number i, in whatever order. It can be told whether it is whole.
func exampleRecord(i uint64) []byte { return appendRecord(nil, i, 100+int(i*37%5000)) }

// appendToExample appends to the log in dir, and acknowledges every record that is safe.
func appendToExample(_ *ringfile.Engine, dir string, _ *rand.Rand, acknowledge func(uint64) error) (uint64, error) {
	const writers, each = 16, 25
	l, err := wal.Open(filepath.Join(dir, "log"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if err := acknowledge(0); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var promised uint64
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for i := range each {
				seq, err := l.Append(exampleRecord(uint64(w*each + i)))
				if err != nil {
					return err
				}
				mu.Lock()
				if seq > promised { // and with it all before
					promised = seq
					err = acknowledge(seq)
				}
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return promised, err
}

// checkExample opens the log in dir, looks for what was acknowledged, and appends another record.
func checkExample(dir string, promised uint64) error {
	l, err := wal.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer l.Close()
	var last uint64
	count := func(seq uint64, record []byte) error {
		if _, n := parseRecord(record); n != len(record) {
			return fmt.Errorf("record %d of the log is none that was appended", seq)
		}
		last = seq
		return nil
	}
	if err := l.Replay(count); err != nil {
		return err
	}
	if last < promised {
		return &lostError{promised, last, fmt.Sprintf("a log of which %d bytes were cut off", l.Cut())}
	}
	if _, err := l.Append(exampleRecord(last)); err != nil {
		return err
	}
	found := last
	if err := l.Replay(count); err != nil {
		return err
	}
	if last != found+1 {
		return fmt.Errorf("%d records after one more than %d", last, found)
	}
	return nil
}
