//go:build linux

package fsx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ringfile/ringfile"
)

// Each goroutine of a crowd owns a range of the file. In its first half it makes transfers of any
// length and knows every byte. The second half consists of cells: it writes them whole, each time as
// another version, and everybody reads them while that happens. What such a reader finds in a cell
// must be, byte for byte, of a version between the last one that was finished when it began and the
// last one that was started when it ended.
//
// A crowd works in phases, in which all write through the page cache or all write around it: the
// kernel does not promise anything about the two at the same time in neighbouring pages.
const (
	ownBytes   = 32 << 10
	cellBytes  = 4096
	cellsEach  = 8
	rangeBytes = ownBytes + cellsEach*cellBytes
	phaseOps   = 100
)

// cell is a piece of the file that one goroutine writes and all read.
type cell struct{ started, finished atomic.Uint64 }

// crowd is a run with many goroutines.
type crowd struct {
	Options
	name             string
	buffered, direct *handle
	cells            []cell
	mapped           []byte
	done             atomic.Int64
}

// member is one of its goroutines.
type member struct {
	*crowd
	source
	number int
	own    []byte // what its first half contains
	area   []byte
	log    opLog
}

// RunCrowd has Options.Goroutines make Options.Ops operations together, on disjoint ranges, with
// readers that overlap with everybody's. The seed decides what each of them does, not when.
func RunCrowd(ctx context.Context, o Options) (Report, error) {
	c := &crowd{Options: o}
	if c.Goroutines == 0 {
		c.Goroutines = 8
	}
	c.Size = c.Goroutines * rangeBytes
	c.cells = make([]cell, c.Goroutines*cellsEach)
	report := Report{Counts: make(map[string]int)}
	if err := c.prepare(); err != nil {
		c.release()
		return report, err
	}
	defer c.release()
	members := make([]*member, c.Goroutines)
	for i := range members {
		members[i] = &member{crowd: c, number: i, own: make([]byte, ownBytes),
			source: random{rand.New(rand.NewPCG(o.Seed, uint64(i)))},
			area:   ringfile.AlignedBuffer(ownBytes, 4096)}
	}
	report.Direct = c.direct != nil
	for phase := 0; ctx.Err() == nil && c.done.Load() < int64(c.Ops); phase++ {
		h := c.buffered
		if phase%4 == 3 && c.direct != nil {
			h = c.direct
		}
		report.Counts[h.what+" phases"]++
		if err := c.phase(members, h); err != nil {
			return report, err
		}
	}
	report.Ops = int(c.done.Load())
	return report, os.Remove(c.name)
}

// phase has all members make phaseOps operations, writing through h, and compares the file.
func (c *crowd) phase(members []*member, h *handle) error {
	failures := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			for range phaseOps {
				op := int(c.done.Add(1)) - 1
				m.log.add(record{op: op})
				if err := m.next(h); err != nil {
					failures[i] = &Failure{Op: op, Err: fmt.Errorf("goroutine %d: %w", i, err), Log: m.log.String(), File: c.name}
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if c.sabotage != nil {
		c.sabotage(c.name, int(c.done.Load()))
	}
	file, err := os.ReadFile(c.name)
	if err == nil && len(file) != c.Size {
		err = fmt.Errorf("the file has %#x bytes, want %#x", len(file), c.Size)
	}
	for i := 0; err == nil && i < len(members); i++ {
		m := members[i]
		if err = m.compare("os", file[m.start():][:ownBytes], 0, ownBytes); err != nil {
			return &Failure{Op: int(c.done.Load()), Err: err, Log: m.log.String(), File: c.name}
		}
	}
	for i := 0; err == nil && i < len(c.cells); i++ {
		at, v := c.cellOffset(i), c.cells[i].finished.Load()
		var shown error
		fault := touch(func() { shown = checkCell("mapping", c.mapped[at:][:cellBytes], i, v, v) })
		err = errors.Join(checkCell("os", file[at:][:cellBytes], i, v, v), fault, shown)
	}
	return err
}

func (c *crowd) prepare() error {
	f, err := os.CreateTemp(c.Dir, "fsx-")
	if err != nil {
		return err
	}
	c.name = f.Name()
	defer f.Close()
	content := make([]byte, c.Size)
	for i := range c.cells {
		fillCell(content[c.cellOffset(i):][:cellBytes], i, 0)
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if c.mapped, err = mapFile(f, c.Size); err != nil {
		return err
	}
	open := func(what string, flag int) (*handle, error) {
		f, err := c.Engine.OpenFile(c.name, os.O_RDWR|flag, 0)
		return &handle{File: f, what: what, align: 1}, err
	}
	if c.buffered, err = open("buffered", 0); err != nil || c.Options.Direct < 0 {
		return err
	}
	align, err := c.buffered.DirectAlign()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if c.direct, err = open("direct", syscall.O_DIRECT); errors.Is(err, syscall.EINVAL) {
		c.direct = nil
		return nil
	}
	c.direct.align = max(align.Memory, align.Offset)
	return err
}

func (c *crowd) release() {
	for _, h := range []*handle{c.buffered, c.direct} {
		if h != nil {
			h.Close()
		}
	}
	if c.mapped != nil {
		unmapFile(c.mapped)
	}
}

// cellOffset returns where a cell lies.
func (c *crowd) cellOffset(i int) int {
	return i/cellsEach*rangeBytes + ownBytes + i%cellsEach*cellBytes
}

// fillCell writes a version of a cell: every word differs from those of other versions and cells.
func fillCell(p []byte, i int, version uint64) {
	x := (version+1)*0x9e3779b97f4a7c15 ^ uint64(i+1)*0xd6e8feb86659fd93
	for at := 0; at < len(p); at += 8 {
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		binary.LittleEndian.PutUint64(p[at:], x)
	}
}

// checkCell checks that each byte of p is one of a version within low..high of the cell.
func checkCell(who string, p []byte, i int, low, high uint64) error {
	var want [cellBytes]byte
	var known [cellBytes]bool
	for v := high; ; v-- { // the last one is the most probable
		fillCell(want[:], i, v)
		if bytes.Equal(p, want[:]) {
			return nil
		}
		for k := range known {
			known[k] = known[k] || p[k] == want[k]
		}
		if v == low {
			break
		}
	}
	if k := slices.Index(known[:], false); k >= 0 {
		return fmt.Errorf("%s: cell %d has %#x at %#x, which is of none of the versions %d..%d", who, i, p[k], k, low, high)
	}
	return nil
}

func (m *member) start() int64 { return int64(m.number) * rangeBytes }

// next makes one operation; what it writes goes through h.
func (m *member) next(h *handle) error {
	switch n := m.intn(100); {
	case n < 25:
		return m.writeOwn(h)
	case n < 45:
		return m.readOwn()
	case n < 60:
		return m.writeCells(h)
	case n < 95:
		return m.readCells()
	case n < 97:
		return m.punchOwn(h)
	case m.intn(16) == 0:
		m.log.last().what = "datasync"
		return h.Datasync()
	}
	return m.mapCells()
}

// any draws a descriptor to read from.
func (m *member) any() *handle {
	if m.direct != nil && m.intn(8) == 0 {
		return m.direct
	}
	return m.buffered
}

// place draws a stretch of length bytes at most for a transfer on h.
func (m *member) place(h *handle, within int) (off, length int) {
	length = 1 + m.intn(1<<m.intn(15))
	off = m.intn(within) / h.align * h.align
	length = (length + h.align - 1) / h.align * h.align
	return off, min(length, within-off)
}

// carryOut makes a transfer in some form that does not use the position.
func (m *member) carryOut(h *handle, what string, p []byte, off int64) (int, error) {
	r := m.log.last()
	r.what, r.on, r.off, r.length = what, h.what, off, len(p)
	ctx := context.Background()
	cut := len(p) / 2 / h.align * h.align
	vec := [][]byte{p[:cut], p[cut:]}
	form := m.intn(6)
	if what == "read" {
		switch form {
		case 0, 1:
			return h.ReadAt(p, off)
		case 2:
			return h.ReadvAt(vec, off)
		case 3:
			return h.ReadAtContext(ctx, p, off)
		case 4:
			return h.StartReadvAt(vec, off).Await()
		}
		return h.StartReadAt(p, off).Await()
	}
	switch form {
	case 0, 1:
		return h.WriteAt(p, off)
	case 2:
		return h.WritevAt(vec, off)
	case 3:
		return h.WriteAtContext(ctx, p, off)
	case 4:
		return h.StartWritevAt(vec, off).Await()
	}
	return h.StartWriteAt(p, off).Await()
}

func (m *member) transfer(h *handle, what string, p []byte, off int64) error {
	n, err := m.carryOut(h, what, p, off)
	if n != len(p) || err != nil {
		return fmt.Errorf("%s %s of %#x bytes at %#x: %#x, %w", h.what, what, len(p), off, n, err)
	}
	return nil
}

func (m *member) writeOwn(h *handle) error {
	off, length := m.place(h, ownBytes)
	p := m.area[:length]
	x := uint64(m.intn(1 << 30))
	for i := range p {
		x = x*6364136223846793005 + 1442695040888963407
		p[i] = byte(x >> 56)
	}
	copy(m.own[off:], p)
	return m.transfer(h, "write", p, m.start()+int64(off))
}

func (m *member) readOwn() error {
	h := m.any()
	off, length := m.place(h, ownBytes)
	p := m.area[:length]
	if err := m.transfer(h, "read", p, m.start()+int64(off)); err != nil {
		return err
	}
	return m.compare(h.what, p, off, length)
}

// compare compares the length bytes at off of the own half.
func (m *member) compare(who string, p []byte, off, length int) error {
	if bytes.Equal(p, m.own[off:][:length]) {
		return nil
	}
	for i := range p {
		if p[i] != m.own[off+i] {
			return fmt.Errorf("%s: %#x at %#x of goroutine %d's range, want %#x", who, p[i], off+i, m.number, m.own[off+i])
		}
	}
	return io.ErrUnexpectedEOF
}

func (m *member) punchOwn(h *handle) error {
	off, length := m.place(h, ownBytes)
	r := m.log.last()
	r.what, r.off, r.length = "punch", m.start()+int64(off), length
	err := h.PunchHole(m.start()+int64(off), int64(length))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	clear(m.own[off:][:length])
	return err
}

// cellRun draws cells that lie side by side.
func (m *member) cellRun(owner int) (first, n int) {
	first = m.intn(cellsEach)
	n = 1 + m.intn(cellsEach-first)
	return owner*cellsEach + first, n
}

func (m *member) writeCells(h *handle) error {
	first, n := m.cellRun(m.number)
	p := m.area[:n*cellBytes]
	for i := range n {
		fillCell(p[i*cellBytes:][:cellBytes], first+i, m.cells[first+i].started.Add(1))
	}
	if err := m.transfer(h, "write", p, int64(m.cellOffset(first))); err != nil {
		return err
	}
	for i := range n {
		c := &m.cells[first+i]
		c.finished.Store(c.started.Load())
	}
	return nil
}

// observe runs read, which fills p with n cells, and checks them.
func (m *member) observe(who string, p []byte, first, n int, read func() error) error {
	var low [cellsEach]uint64
	for i := range n {
		low[i] = m.cells[first+i].finished.Load()
	}
	if err := read(); err != nil {
		return err
	}
	for i := range n {
		high := m.cells[first+i].started.Load()
		if err := checkCell(who, p[i*cellBytes:][:cellBytes], first+i, low[i], high); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) readCells() error {
	first, n := m.cellRun(m.intn(m.Goroutines))
	h, p := m.any(), m.area[:n*cellBytes]
	return m.observe(h.what, p, first, n, func() error {
		return m.transfer(h, "read", p, int64(m.cellOffset(first)))
	})
}

func (m *member) mapCells() error {
	first, n := m.cellRun(m.intn(m.Goroutines))
	p, off := m.area[:n*cellBytes], m.cellOffset(first)
	r := m.log.last()
	r.what, r.off, r.length = "map read", int64(off), len(p)
	return m.observe("mapping", p, first, n, func() error {
		return touch(func() { copy(p, m.mapped[off:]) })
	})
}
