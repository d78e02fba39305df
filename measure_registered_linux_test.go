package ringfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/uring"
)

// TestMeasureRegistered compares O_DIRECT random reads into ordinary and registered buffers through an
// engine; and through a bare ring, where nothing else costs anything, registered files as well.
func TestMeasureRegistered(t *testing.T) {
	name := measureFile(t, pollBlocks*pollBlock)
	open := func() (*ringfile.Engine, *ringfile.File) { // an engine each, so that its counts are a proof
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		f, err := e.OpenFile(name, os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { f.Close() })
		return e, f
	}
	ordinary, f := open()
	e, g := open()
	pool := newPool(t, e, 128, pollBlock)
	defer pool.Close()
	registered := func() ([]byte, func()) {
		buf := pool.Get()
		return buf, func() { pool.Put(buf) }
	}
	measure.Header()
	for _, goroutines := range []int{1, 32, 128} {
		ops := 1200 + 80*min(goroutines, 64)
		measure.Compare(t, fmt.Sprintf("4 KiB random reads, %d goroutines", goroutines),
			measure.Side{Name: "ordinary buffers", Proof: proof(ordinary), Run: func() (int, error) {
				return randomReads(f, goroutines, ops, plainBuffer)
			}},
			measure.Side{Name: "registered buffers", Proof: proof(e), Run: func() (int, error) {
				return randomReads(g, goroutines, ops, registered)
			}})
	}
	for _, depth := range []int{1, 32} {
		var sides []measure.Side
		for _, c := range []struct {
			name          string
			buffer, table bool
		}{{"bare ring", false, false}, {"and buffers", true, false}, {"and file", false, true}, {"and both", true, true}} {
			sides = append(sides, measure.Side{Name: c.name, Run: func() (int, error) {
				return ringReads(name, depth, 60*depth+600, c.buffer, c.table)
			}})
		}
		measure.Compare(t, fmt.Sprintf("a bare ring, %d in flight", depth), sides...)
	}
}

// ringReads makes ops reads of a block with depth of them in flight, from a ring of its own.
func ringReads(name string, depth, ops int, buffer, table bool) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	mem, err := unix.Mmap(-1, 0, depth*pollBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(mem)
	r, err := uring.New(uring.Config{Entries: uint32(2 * depth)})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if buffer {
		err = r.RegisterBuffers([][]byte{mem})
	}
	if table && err == nil {
		err = r.RegisterFiles([]int32{int32(fd)})
	}
	if err != nil {
		return 0, err
	}
	queue := func(slot uint64) {
		sqe, p, off := r.GetSQE(), mem[slot*pollBlock:][:pollBlock], rand.Uint64N(pollBlocks)*pollBlock
		from := fd
		if table {
			from = 0
		}
		if buffer {
			sqe.PrepReadFixed(from, p, off, 0)
		} else {
			sqe.PrepRead(from, p, off)
		}
		if table {
			sqe.SetFlags(uring.SQEFixedFile)
		}
		sqe.UserData = slot
	}
	for slot := range depth {
		queue(uint64(slot))
	}
	var cqes [64]uring.CQE
	for queued, done := depth, 0; done < ops; {
		if _, err := r.SubmitAndWait(1); err != nil {
			return 0, err
		}
		n := r.CopyCQEs(cqes[:])
		for _, c := range cqes[:n] {
			if c.Res != pollBlock {
				return 0, fmt.Errorf("read: %d", c.Res)
			}
			if queued < ops {
				queue(c.UserData)
				queued++
			}
		}
		done += n
	}
	return ops, nil
}
