//go:build linux

// Package fsx exercises one file with random operations of ringfile, and compares every result with a
// model in memory and with a mapping of the file: the idea of xfstests' fsx, for the methods of
// ringfile.File on each of its routes.
//
// [Run] makes one operation after another, so that a seed reproduces a run, except for the outcome of
// cancelled calls (the file's contents after these are read and adopted). [RunCrowd] has many
// goroutines work on the file at the same time.
package fsx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"

	"github.com/ringfile/ringfile"
)

// Options says what to run and where.
type Options struct {
	Engine *ringfile.Engine // used by nothing else in the meantime
	Dir    string           // in which the file is made, and removed if nothing is wrong
	Seed   uint64
	Ops    int // how many operations
	Size   int // of the file at most, in bytes; zero: 256 KiB
	Direct int // one in how many transfers uses O_DIRECT; zero: 32, negative: none

	Goroutines int // of RunCrowd; zero: 8

	sabotage func(name string, op int) // runs before each operation
}

// Report is what has been done.
type Report struct {
	Ops    int            // operations without a difference
	Counts map[string]int // by kind and, for transfers, by form
	Direct bool           // whether the file system had O_DIRECT
}

// Failure is a difference between the file and the model, or an error where there should be none.
type Failure struct {
	Op   int   // which operation found it, from 0
	Err  error // what is wrong
	Log  string
	File string // left for inspection
}

func (f *Failure) Error() string {
	return fmt.Sprintf("operation %d: %v\n%sthe file is %s", f.Op, f.Err, f.Log, f.File)
}

func (f *Failure) Unwrap() error { return f.Err }

// Run makes random operations until all are made, ctx ends, or something is wrong: then the error
// is a *Failure with the last operations.
func Run(ctx context.Context, o Options) (Report, error) {
	return run(ctx, o, random{rand.New(rand.NewPCG(o.Seed, 0x66_73_78))})
}

// source is where decisions come from.
type source interface {
	intn(n int) int // within 0..n-1
	spent() bool    // nothing is left to decide by
}

type random struct{ *rand.Rand }

func (r random) intn(n int) int { return r.IntN(n) }
func (r random) spent() bool    { return false }

// script makes the decisions that a fuzzer wants.
type script struct{ data []byte }

func (s *script) spent() bool { return len(s.data) == 0 }

func (s *script) intn(n int) int {
	v := 0
	for left := n - 1; left > 0; left >>= 8 {
		v <<= 8
		if len(s.data) > 0 {
			v |= int(s.data[0])
			s.data = s.data[1:]
		}
	}
	return v % n
}

// handle is a descriptor of the file.
type handle struct {
	*ringfile.File
	what  string
	flag  int
	align int   // of offsets, lengths and addresses
	pos   int64 // where its position must be
}

// tester is a run.
type tester struct {
	Options
	source
	name     string
	buffered *handle
	direct   *handle // nil where the file system has no O_DIRECT
	appender *handle
	other    *os.File // what is copied from and to
	model    []byte   // what the file must contain; its capacity is Size
	mapped   []byte   // Size bytes of the file, shared, as the second witness
	pool     []byte   // random bytes, of which data is made
	area     []byte   // for transfers, with guard bytes before and after
	log      opLog
	op       int
	counts   map[string]int
}

// guard is how far into the area buffers begin, and ends before its end.
const guard = 4096

func run(ctx context.Context, o Options, s source) (Report, error) {
	t := &tester{Options: o, source: s, counts: make(map[string]int)}
	if t.Size == 0 {
		t.Size = 256 << 10
	}
	if t.Options.Direct == 0 {
		t.Options.Direct = 32
	}
	if err := t.prepare(); err != nil {
		t.release()
		return Report{}, err
	}
	defer t.release()
	total := 0
	for _, op := range operations {
		total += op.weight
	}
	var err error
	for ; err == nil && t.op < t.Ops && ctx.Err() == nil && !t.spent(); t.op++ {
		if t.sabotage != nil {
			t.sabotage(t.name, t.op)
		}
		err = t.next(t.intn(total))
	}
	if err == nil {
		err = t.checkAll()
	}
	report := Report{Ops: t.op, Counts: t.counts, Direct: t.direct != nil}
	if err != nil {
		t.op--
		return report, &Failure{Op: t.op, Err: err, Log: t.log.String(), File: t.name}
	}
	return report, os.Remove(t.name)
}

// next makes the operation that the number chooses.
func (t *tester) next(number int) error {
	for i := range operations {
		op := &operations[i]
		if number -= op.weight; number < 0 {
			t.log.add(record{op: t.op, what: op.name})
			t.counts[op.name]++
			return op.do(t)
		}
	}
	panic("fsx: the weights do not add up")
}

// operations are what a run consists of. What waits for the device is rare, so that many operations
// fit into a minute.
var operations = []struct {
	name   string
	weight int
	do     func(t *tester) error
}{
	{"read", 380, (*tester).read},
	{"write", 300, (*tester).write},
	{"futures", 40, (*tester).futures},
	{"append", 20, (*tester).appendSome},
	{"truncate", 10, (*tester).truncate},
	{"allocate", 20, (*tester).allocate},
	{"punch", 20, (*tester).punch},
	{"next data", 20, (*tester).nextData},
	{"prefetch", 10, (*tester).prefetch},
	{"writeback", 2, (*tester).writeback},
	{"sync", 2, (*tester).sync},
	{"reopen", 6, (*tester).reopen},
	{"copy in", 15, (*tester).copyIn},
	{"copy out", 15, (*tester).copyOut},
	{"map read", 60, (*tester).mapRead},
	{"map write", 40, (*tester).mapWrite},
	{"stat", 38, (*tester).stat},
	{"check", 1, (*tester).checkAll},
}

func (t *tester) prepare() (err error) {
	f, err := os.CreateTemp(t.Dir, "fsx-")
	if err != nil {
		return err
	}
	t.name = f.Name()
	defer f.Close()
	if t.mapped, err = mapFile(f, t.Size); err != nil {
		return err
	}
	if t.other, err = os.CreateTemp(t.Dir, "fsx-other-"); err != nil {
		return err
	}
	t.model = make([]byte, 0, t.Size)
	t.area = ringfile.AlignedBuffer(maxLength+2*guard, 4096)
	t.pool = make([]byte, 1<<20)
	fill := rand.NewChaCha8([32]byte{byte(t.Seed), byte(t.Seed >> 8)})
	fill.Read(t.pool)
	return t.open()
}

// open opens the file's descriptors.
func (t *tester) open() error {
	open := func(what string, flag int) (*handle, error) {
		f, err := t.Engine.OpenFile(t.name, os.O_RDWR|flag, 0)
		if err != nil {
			return nil, err
		}
		return &handle{File: f, what: what, flag: flag, align: 1}, nil
	}
	var err error
	if t.buffered, err = open("buffered", 0); err != nil {
		return err
	}
	if t.appender, err = open("append", os.O_APPEND); err != nil {
		return err
	}
	if t.Options.Direct < 0 {
		return nil
	}
	align, err := t.buffered.DirectAlign()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	} else if err != nil {
		return err
	}
	t.direct, err = open("direct", syscall.O_DIRECT)
	if errors.Is(err, syscall.EINVAL) {
		return nil // it has none
	} else if err != nil {
		return err
	}
	t.direct.align = max(align.Memory, align.Offset)
	return nil
}

// close closes the descriptors.
func (t *tester) close() error {
	var errs []error
	for _, h := range []*handle{t.buffered, t.direct, t.appender} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	t.buffered, t.direct, t.appender = nil, nil, nil
	return errors.Join(errs...)
}

func (t *tester) release() {
	t.close()
	if t.mapped != nil {
		unmapFile(t.mapped)
	}
	if t.other != nil {
		t.other.Close()
		os.Remove(t.other.Name())
	}
}

// pick returns the descriptor for a transfer.
func (t *tester) pick() *handle {
	if t.direct != nil && t.intn(t.Options.Direct) == 0 {
		return t.direct
	}
	return t.buffered
}

// logSize is how many operations a Failure shows.
const logSize = 64

// record is an operation as the log has it.
type record struct {
	op        int
	what      string
	how       string // the form of a transfer
	on        string // which descriptor
	off       int64
	length, n int
	err       error
}

type opLog struct {
	records [logSize]record
	next    int
}

func (l *opLog) add(r record) {
	l.records[l.next%logSize] = r
	l.next++
}

// last is the operation that is being made.
func (l *opLog) last() *record { return &l.records[(l.next-1)%logSize] }

func (l *opLog) String() string {
	var b strings.Builder
	for i := max(0, l.next-logSize); i < l.next; i++ {
		r := &l.records[i%logSize]
		fmt.Fprintf(&b, "%8d %s", r.op, r.what)
		if r.on != "" {
			fmt.Fprintf(&b, " %s %s", r.on, r.how)
		}
		fmt.Fprintf(&b, " %#x+%#x", r.off, r.length)
		if r.n != 0 || r.err != nil {
			fmt.Fprintf(&b, " = %#x", r.n)
		}
		if r.err != nil {
			fmt.Fprintf(&b, ", %v", r.err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
