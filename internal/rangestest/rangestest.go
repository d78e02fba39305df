// Package rangestest compares different methods to read a list of blocks of a file.
package rangestest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/stream"
)

// Blocks is a list of blocks of a file, and the ways to read it that are compared with one another.
type Blocks struct {
	Plain   *os.File
	File    *ringfile.File
	Size    int64 // of the file
	Length  int   // of a block
	N       int   // blocks for each run
	Loop    int   // blocks for each run of what reads one after the other; zero: N
	Prepare func() error

	first int // of the next run
}

// offset returns where the i-th block of a run lies: all over the file.
func (b *Blocks) offset(i int) int64 {
	places := b.Size / int64(b.Length)
	return int64(b.first+i) * 7919 % places * int64(b.Length)
}

// ranges is the list of a run.
func (b *Blocks) ranges() iter.Seq[stream.Range] {
	return func(yield func(stream.Range) bool) {
		for i := range b.N {
			if !yield(stream.Range{File: b.File, Off: b.offset(i), Len: b.Length}) {
				return
			}
		}
	}
}

// loop reads one block after the other.
func (b *Blocks) loop(r io.ReaderAt) func() (int, error) {
	n := b.N
	if b.Loop > 0 {
		n = b.Loop
	}
	buf := ringfile.AlignedBuffer(b.Length, 4096)
	return func() (int, error) {
		defer func() { b.first += n }()
		for i := range n {
			if _, err := r.ReadAt(buf, b.offset(i)); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
}

// batch keeps depth blocks in flight.
func (b *Blocks) batch(depth int) func() (int, error) {
	bufs := make([][]byte, depth)
	for i := range bufs {
		bufs[i] = ringfile.AlignedBuffer(b.Length, 4096)
	}
	n := min(b.N, 64*depth)
	slots := make([]int, n) // the buffer of each operation
	return func() (int, error) {
		defer func() { b.first += n }()
		var batch ringfile.Batch
		next := 0
		add := func(slot int) {
			slots[next] = slot
			batch.ReadAt(b.File, bufs[slot], b.offset(next))
			next++
		}
		for next < min(depth, n) {
			add(next)
		}
		for i, r := range batch.Results(context.Background()) {
			if r.Err != nil {
				return 0, r.Err
			}
			if next < n {
				add(slots[i])
			}
		}
		return n, nil
	}
}

// look reads ahead.
func (b *Blocks) look(c stream.RangesConfig, withContext bool) func() (int, error) {
	return func() (int, error) {
		defer func() { b.first += b.N }()
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if withContext {
			ctx, cancel = context.WithCancel(ctx)
		}
		defer cancel()
		for _, err := range stream.Ranges(ctx, b.ranges(), c) {
			if err != nil {
				return 0, err
			}
		}
		return b.N, nil
	}
}

// Depths are those of a Batch that Ranges is compared with.
var Depths = []int{1, 4, 16, 64, 256}

// Sides returns the ways to read the list, the plain loop first.
func (b *Blocks) Sides(e *ringfile.Engine) []measure.Side {
	all := []measure.Side{
		{Name: "loop of os.File.ReadAt", Prepare: b.Prepare, Run: b.loop(b.Plain)},
		enginetest.Side(e, "loop of File.ReadAt", b.Prepare, b.loop(b.File)),
	}
	for _, d := range Depths {
		all = append(all, enginetest.Side(e, fmt.Sprintf("Batch, %d in flight", d), b.Prepare, b.batch(d)))
	}
	return append(all,
		enginetest.Side(e, "Ranges", b.Prepare, b.look(stream.RangesConfig{}, false)),
		enginetest.Side(e, "Ranges, unordered", b.Prepare, b.look(stream.RangesConfig{Unordered: true}, false)),
		enginetest.Side(e, "Ranges, with a context", b.Prepare, b.look(stream.RangesConfig{}, true)),
	)
}
