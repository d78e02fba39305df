package ringfile_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// The same operations are carried out on an os.File and a ringfile.File of equal files, and what
// comes out is compared: data, counts, errors and the position. A program is a string of bytes:
// the kind of file, then operations with their arguments.

var opsSeed = flag.Uint64("ops.seed", 0, "run TestFileOps with this `seed` only")

// TestFileOps runs random programs.
func TestFileOps(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		p := newPair(t, e)
		if *opsSeed != 0 {
			p.run(t, randomProgram(*opsSeed))
			return
		}
		runs := 0
		for end := time.Now().Add(testutil.StressTime(t)); (time.Now().Before(end) || runs < 5*kinds) && !t.Failed(); runs++ {
			seed := rand.Uint64()
			if p.run(t, randomProgram(seed)); t.Failed() {
				t.Logf("to repeat it: -run '^%s$' -ops.seed=%d", strings.ReplaceAll(t.Name(), "/", "$/^"), seed)
			}
		}
		t.Logf("%d programs, %d operations", runs, p.ops)
	})
}

// randomProgram returns the program of a seed.
func randomProgram(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	program := make([]byte, 100+rng.IntN(400))
	for i := range program {
		program[i] = byte(rng.Uint32())
	}
	return program
}

// FuzzFileOps runs programs that the fuzzer finds, on all routes.
func FuzzFileOps(f *testing.F) {
	var engines []*ringfile.Engine
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		f.Setenv("RINGFILE_BACKEND", b.String())
		e, err := ringfile.New(ringfile.Config{Rings: 1, Depth: 16})
		if err != nil {
			f.Logf("no %s backend: %v", b, err)
			continue
		}
		f.Cleanup(func() { e.Close() })
		engines = append(engines, e)
	}
	for kind := range kinds {
		f.Add(append([]byte{byte(kind)}, randomProgram(uint64(kind))[:40]...))
		// Each operation once.
		program := []byte{byte(kind)}
		for op := range opKinds {
			program = append(program, byte(op), 3, 100, 4, 200)
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		program = program[:min(len(program), 1000)] // operations wait for a device: longer ones find no more
		for _, e := range engines {
			newPair(t, e).run(t, program)
		}
	})
}

// Kinds of files.
const (
	kindReadWrite = iota
	kindRead
	kindWrite
	kindAppend
	kindAppendRead
	kindDirect
	kindDirectory
	kindNull
	kindZero
	kindProc
	kinds
)

// Kinds of operations.
const (
	doRead = iota
	doWrite
	doReadAt
	doWriteAt
	doSeek
	doTruncate
	doWriteString
	doReadFrom
	doReadFromFile
	doWriteTo
	doWriteToFile
	doSync
	doStat
	doClose
	doReadDir
	doReaddirnames
	doReadvAt
	doWritevAt
	doChmod
	doDeadline
	doForm
	opKinds
)

// Forms of the operations of File that have several.
const (
	formPlain = iota
	formContext
	formFuture
	formCount
)

// pair is an os.File and a ringfile.File with the same content and history.
type pair struct {
	engine *ringfile.Engine
	ctx    context.Context
	dirs   [2]string // of own and std
	bufs   [2][]byte
	ops    int

	kind     int
	form     int
	closed   bool
	armed    bool // with a deadline
	std      *os.File
	own      *ringfile.File
	program  []byte
	history  []string
	partners // of copies between files
}

// partners are files to copy from and to.
type partners struct {
	stdFile *os.File
	ownFile *ringfile.File
}

const bufSize = 192 << 10

func newPair(t *testing.T, e *ringfile.Engine) *pair {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := &pair{engine: e, ctx: ctx, dirs: [2]string{t.TempDir(), t.TempDir()}}
	for i := range p.bufs {
		p.bufs[i] = ringfile.AlignedBuffer(bufSize, 4096)
	}
	return p
}

// next takes a byte of the program; it is zero behind the end.
func (p *pair) next() int {
	if len(p.program) == 0 {
		return 0
	}
	b := p.program[0]
	p.program = p.program[1:]
	return int(b)
}

// size takes a length of a transfer.
func (p *pair) size() int {
	n := p.next()
	switch {
	case n < 16:
		return 0
	case n < 96:
		return n - 15
	case n < 224:
		return (n - 95) * 512 // up to 64 KiB, and whole sectors
	}
	return (n-223)*5119 + 7 // up to 160 KiB
}

// offset takes an offset near the data.
func (p *pair) offset() int64 {
	n := p.next()
	switch {
	case n < 8:
		return int64(n) - 8
	case n < 64:
		return int64(n) * 97
	case n < 224:
		return int64(n-64) * 4096
	}
	return int64(n-200) * 10_007
}

// run carries out a program on fresh files.
func (p *pair) run(t *testing.T, program []byte) {
	t.Helper()
	p.program, p.history = program, nil
	p.kind, p.form, p.closed, p.armed = p.next()%kinds, formPlain, false, false
	if !p.open(t) {
		return
	}
	defer func() {
		p.std.Close()
		p.own.Close()
		p.stdFile.Close()
		p.ownFile.Close()
	}()
	for len(p.program) > 0 {
		what, diff := p.step()
		p.ops++
		p.history = append(p.history, what)
		if diff == "" {
			diff = p.comparePositions()
		}
		if diff != "" {
			t.Errorf("kind %d: after\n\t%s\n%s", p.kind, strings.Join(p.history, "\n\t"), diff)
			return
		}
	}
	if what, diff := p.compareContents(); diff != "" {
		t.Errorf("kind %d: after\n\t%s\n%s differ: %s", p.kind, strings.Join(p.history, "\n\t"), what, diff)
	}
}

// open makes the files. It reports whether there are such.
func (p *pair) open(t *testing.T) bool {
	flags := [kinds]int{
		kindReadWrite:  os.O_RDWR,
		kindWrite:      os.O_WRONLY,
		kindAppend:     os.O_WRONLY | os.O_APPEND,
		kindAppendRead: os.O_RDWR | os.O_APPEND,
		kindDirect:     os.O_RDWR | oDirect,
		kindNull:       os.O_RDWR,
		kindZero:       os.O_RDWR,
	}
	var names, partners [2]string
	for i, dir := range p.dirs {
		names[i] = filepath.Join(dir, "file")
		partners[i] = filepath.Join(dir, "partner")
		content := make([]byte, 50_000)
		testutil.Pattern(content, 0)
		for _, name := range []string{names[i], partners[i]} {
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		switch p.kind {
		case kindDirectory:
			names[i] = filepath.Join(dir, "directory")
			for k := range 7 {
				if err := os.MkdirAll(filepath.Join(names[i], fmt.Sprint(k)), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		case kindNull:
			names[i] = os.DevNull
		case kindZero:
			names[i] = "/dev/zero"
		case kindProc:
			names[i] = "/proc/cpuinfo"
		}
	}
	var err, err1 error
	p.own, err = p.engine.OpenFile(names[0], flags[p.kind], 0)
	p.std, err1 = os.OpenFile(names[1], flags[p.kind], 0)
	prefix = p.dirs
	if diff := differ(err, err1); diff != "" {
		t.Fatalf("open: %s", diff)
	}
	if err != nil {
		return false // no O_DIRECT, or no such device here
	}
	if p.ownFile, err = p.engine.OpenFile(partners[0], os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if p.stdFile, err = os.OpenFile(partners[1], os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	return true
}

// endless reports whether the file has no end: it must not be read to that.
func (p *pair) endless() bool { return p.kind == kindZero }

// step carries out one operation on both files. It returns what it was, and how the outcomes differ.
func (p *pair) step() (what, diff string) {
	op := p.next() % opKinds
	switch op {
	case doRead:
		n := p.size()
		if p.kind == kindZero {
			n = min(n, 4096) // a signal, as the scheduler sends them, ends a longer read early
		}
		return fmt.Sprintf("Read(%d)", n), p.transfer(n, p.read, p.std.Read)
	case doWrite:
		n := p.size()
		p.fill(n)
		return fmt.Sprintf("Write(%d)", n), p.transfer(n, p.write, p.std.Write)
	case doReadAt:
		n, off := p.size(), p.offset()
		if p.next() < 4 {
			off = math.MaxInt64 - 100
		}
		return fmt.Sprintf("ReadAt(%d, %d)", n, off), p.transfer(n,
			func(b []byte) (int, error) { return p.readAt(b, off) },
			func(b []byte) (int, error) { return p.std.ReadAt(b, off) })
	case doWriteAt:
		n, off := p.size(), p.offset()
		p.fill(n)
		return fmt.Sprintf("WriteAt(%d, %d)", n, off), p.transfer(n,
			func(b []byte) (int, error) { return p.writeAt(b, off) },
			func(b []byte) (int, error) { return p.std.WriteAt(b, off) })
	case doReadvAt:
		n, off := p.size(), p.offset()
		if p.kind == kindDirect && n%512 != 0 {
			return "nothing", "" // refused, where newer kernels (7.3) take it in a single buffer
		}
		cut := p.cut(n)
		return fmt.Sprintf("ReadvAt(%d, %d)", n, off), p.transfer(n,
			func(b []byte) (int, error) { return p.readvAt([][]byte{b[:cut], nil, b[cut:]}, off) },
			func(b []byte) (int, error) { return p.std.ReadAt(b, off) })
	case doWritevAt:
		n, off := p.size(), p.offset()
		if p.kind == kindDirect && n%512 != 0 {
			// The kernel refuses it, and newer ones (7.3) have written the first buffer by then.
			return "nothing", ""
		}
		p.fill(n)
		cut := p.cut(n)
		return fmt.Sprintf("WritevAt(%d, %d)", n, off), p.transfer(n,
			func(b []byte) (int, error) { return p.writevAt([][]byte{b[:cut], nil, b[cut:]}, off) },
			func(b []byte) (int, error) { return p.std.WriteAt(b, off) })
	case doSeek:
		off, whence := p.offset(), p.next()%4
		if whence == 3 {
			whence = 99
		}
		n, err := p.own.Seek(off, whence)
		n1, err1 := p.std.Seek(off, whence)
		return fmt.Sprintf("Seek(%d, %d)", off, whence), outcomes(n, n1, err, err1)
	case doTruncate:
		size := p.offset()
		return fmt.Sprintf("Truncate(%d)", size), differ(p.truncate(size), p.std.Truncate(size))
	case doWriteString:
		n := p.size()
		if p.kind == kindDirect {
			return "nothing", "" // the string may be at any address, aligned or not
		}
		p.fill(n)
		return fmt.Sprintf("WriteString(%d)", n), p.transfer(n,
			func(b []byte) (int, error) { return p.own.WriteString(string(b)) },
			func(b []byte) (int, error) { return p.std.WriteString(string(b)) })
	case doReadFrom, doReadFromFile, doWriteTo, doWriteToFile:
		if p.kind == kindDirect {
			return "nothing", "" // so may the buffer of the copy
		}
		return p.copy(op)
	case doSync:
		return "Sync", differ(p.sync(), p.std.Sync())
	case doStat:
		st, err := p.stat()
		st1, err1 := p.std.Stat()
		if diff := differ(err, err1); diff != "" || err != nil {
			return "Stat", diff
		}
		if st.Size() != st1.Size() || st.Mode() != st1.Mode() || st.Name() != st1.Name() {
			return "Stat", fmt.Sprintf("got %v, want %v", st, st1)
		}
		return "Stat", ""
	case doClose:
		if p.next()%16 != 0 && !p.closed {
			return "nothing", "" // otherwise most of a program would see a closed file
		}
		p.closed = true
		return "Close", differ(p.close(), p.std.Close())
	case doReadDir:
		n := p.next()%6 - 1
		list, err := p.own.ReadDir(n)
		list1, err1 := p.std.ReadDir(n)
		return fmt.Sprintf("ReadDir(%d)", n), outcomes(len(list), len(list1), err, err1)
	case doReaddirnames:
		n := p.next()%6 - 1
		list, err := p.own.Readdirnames(n)
		list1, err1 := p.std.Readdirnames(n)
		return fmt.Sprintf("Readdirnames(%d)", n), outcomes(len(list), len(list1), err, err1)
	case doChmod:
		if p.kind == kindNull || p.kind == kindZero || p.kind == kindProc {
			return "nothing", ""
		}
		mode := fs.FileMode(0o600 + p.next()%8)
		return fmt.Sprintf("Chmod(%v)", mode), differ(p.chmod(mode), p.std.Chmod(mode))
	case doDeadline:
		return p.deadline()
	case doForm:
		p.form = p.next() % formCount
		return fmt.Sprintf("form %d", p.form), ""
	}
	panic("no such operation")
}

// copy carries out one of the operations that copy.
func (p *pair) copy(op int) (what, diff string) {
	switch op {
	case doReadFrom:
		return p.readFrom()
	case doReadFromFile:
		return p.readFromFile()
	case doWriteTo:
		return p.writeTo()
	}
	return p.writeToFile()
}

// deadline sets a deadline that is not reached, or none. os has none on most of these files, and
// then says so.
func (p *pair) deadline() (what, diff string) {
	at := time.Now().Add(time.Hour)
	if p.next()%2 == 0 {
		at = time.Time{}
	}
	what = fmt.Sprintf("SetDeadline(%v)", at)
	err, err1 := p.own.SetDeadline(at), p.std.SetDeadline(at)
	if err == nil {
		p.armed = !at.IsZero()
	}
	if err == nil && err1 == os.ErrNoDeadline && p.kind != kindDirectory {
		return what, ""
	}
	return what, differ(err, err1)
}

// The operations in their forms.

func (p *pair) read(b []byte) (int, error) {
	if p.form == formContext {
		return p.own.ReadContext(p.ctx, b)
	}
	return p.own.Read(b)
}

func (p *pair) write(b []byte) (int, error) {
	if p.form == formContext {
		return p.own.WriteContext(p.ctx, b)
	}
	return p.own.Write(b)
}

func (p *pair) readAt(b []byte, off int64) (int, error) {
	switch p.form {
	case formContext:
		return p.own.ReadAtContext(p.ctx, b, off)
	case formFuture:
		return p.own.StartReadAt(b, off).Await()
	}
	return p.own.ReadAt(b, off)
}

func (p *pair) writeAt(b []byte, off int64) (int, error) {
	switch p.form {
	case formContext:
		return p.own.WriteAtContext(p.ctx, b, off)
	case formFuture:
		return p.own.StartWriteAt(b, off).Await()
	}
	return p.own.WriteAt(b, off)
}

// cut returns where to cut a transfer of n bytes in two. In a direct one, kernels such as 6.12 want
// whole sectors in each buffer.
func (p *pair) cut(n int) int {
	if p.kind == kindDirect {
		return n / 3 / 512 * 512
	}
	return n / 3
}

func (p *pair) readvAt(vec [][]byte, off int64) (int, error) {
	switch p.form {
	case formContext:
		return p.own.ReadvAtContext(p.ctx, vec, off)
	case formFuture:
		return p.own.StartReadvAt(vec, off).Await()
	}
	return p.own.ReadvAt(vec, off)
}

func (p *pair) writevAt(vec [][]byte, off int64) (int, error) {
	switch p.form {
	case formContext:
		return p.own.WritevAtContext(p.ctx, vec, off)
	case formFuture:
		return p.own.StartWritevAt(vec, off).Await()
	}
	return p.own.WritevAt(vec, off)
}

func (p *pair) sync() error {
	switch p.form {
	case formContext:
		return p.own.SyncContext(p.ctx)
	case formFuture:
		_, err := p.own.StartSync().Await()
		return err
	}
	return p.own.Sync()
}

func (p *pair) truncate(size int64) error {
	return p.own.Truncate(size)
}

func (p *pair) stat() (fs.FileInfo, error) {
	return p.own.Stat()
}

func (p *pair) chmod(mode fs.FileMode) error {
	return p.own.Chmod(mode)
}

func (p *pair) close() error {
	if p.form == formContext {
		return p.own.CloseContext(p.ctx)
	}
	return p.own.Close()
}

// fill puts the same data into the first n bytes of both buffers.
func (p *pair) fill(n int) {
	testutil.Pattern(p.bufs[0][:n], int64(p.ops)*1021)
	copy(p.bufs[1], p.bufs[0][:n])
}

// transfer carries out a transfer with n bytes of buffer, and compares the data as well.
func (p *pair) transfer(n int, own, std func([]byte) (int, error)) string {
	got, err := own(p.bufs[0][:n])
	want, err1 := std(p.bufs[1][:n])
	if diff := outcomes(got, want, err, err1); diff != "" {
		return diff
	}
	if !bytes.Equal(p.bufs[0][:got], p.bufs[1][:got]) {
		return "the data differs"
	}
	return ""
}

// outcomes compares counts and errors.
func outcomes[T int | int64](n, n1 T, err, err1 error) string {
	if diff := differ(err, err1); diff != "" {
		return fmt.Sprintf("%s; n is %d, want %d", diff, n, n1)
	}
	if n != n1 {
		return fmt.Sprintf("n is %d, want %d; the error is %v", n, n1, err)
	}
	return ""
}

// readFrom is File.ReadFrom from memory, which may be limited.
func (p *pair) readFrom() (what, diff string) {
	n, limit := p.size(), p.size()
	p.fill(n)
	// Only readers: nothing that copies by itself.
	src := []io.Reader{struct{ io.Reader }{bytes.NewReader(p.bufs[0][:n])}, struct{ io.Reader }{bytes.NewReader(p.bufs[1][:n])}}
	what = fmt.Sprintf("ReadFrom(%d)", n)
	if p.next()%2 == 0 {
		what = fmt.Sprintf("ReadFrom(%d of %d)", limit, n)
		for i := range src {
			src[i] = &io.LimitedReader{R: src[i], N: int64(limit)}
		}
	}
	got, err := p.own.ReadFrom(src[0])
	want, err1 := p.std.ReadFrom(src[1])
	return what, outcomes(got, want, err, err1)
}

// readFromFile is File.ReadFrom from another file, which may be limited and may be an os.File.
func (p *pair) readFromFile() (what, diff string) {
	limit, foreign := p.size(), p.next()%3 == 0
	var src, src1 io.Reader = p.ownFile, p.stdFile
	if foreign {
		f, err := os.Open(p.ownFile.Name())
		if err != nil {
			return "open", err.Error()
		}
		defer f.Close()
		src = f
		if f, err = os.Open(p.stdFile.Name()); err != nil {
			return "open", err.Error()
		}
		defer f.Close()
		src1 = f
	}
	what = fmt.Sprintf("ReadFrom(file, foreign %v)", foreign)
	if p.next()%2 == 0 {
		what = fmt.Sprintf("ReadFrom(%d of file, foreign %v)", limit, foreign)
		src = &io.LimitedReader{R: src, N: int64(limit)}
		src1 = &io.LimitedReader{R: src1, N: int64(limit)}
	}
	got, err := p.own.ReadFrom(src)
	want, err1 := p.std.ReadFrom(src1)
	diff = p.copies(got, want, err, err1)
	failed := err != nil || err1 != nil
	if lim, ok := src.(*io.LimitedReader); ok && diff == "" && !(failed && p.copiesItself()) {
		if want := src1.(*io.LimitedReader).N; lim.N != want {
			diff = fmt.Sprintf("the limit is %d, want %d", lim.N, want)
		}
	}
	return what, cmpOr(diff, p.rewind(failed))
}

// writeTo is File.WriteTo to memory.
func (p *pair) writeTo() (what, diff string) {
	if p.endless() {
		return "nothing", ""
	}
	var b, b1 bytes.Buffer
	got, err := p.own.WriteTo(&b)
	want, err1 := p.std.WriteTo(&b1)
	diff = outcomes(got, want, err, err1)
	if diff == "" && !bytes.Equal(b.Bytes(), b1.Bytes()) {
		diff = "the data differs"
	}
	return "WriteTo(memory)", diff
}

// writeToFile is File.WriteTo to another file, which may be an os.File.
func (p *pair) writeToFile() (what, diff string) {
	if p.endless() {
		return "nothing", ""
	}
	foreign := p.next()%3 == 0
	var dst, dst1 io.Writer = p.ownFile, p.stdFile
	if foreign {
		f, err := os.OpenFile(p.ownFile.Name(), os.O_WRONLY, 0)
		if err != nil {
			return "open", err.Error()
		}
		defer f.Close()
		dst = f
		if f, err = os.OpenFile(p.stdFile.Name(), os.O_WRONLY, 0); err != nil {
			return "open", err.Error()
		}
		defer f.Close()
		dst1 = f
	}
	got, err := p.own.WriteTo(dst)
	want, err1 := p.std.WriteTo(dst1)
	return fmt.Sprintf("WriteTo(file, foreign %v)", foreign), cmpOr(p.copies(got, want, err, err1), p.rewind(err != nil || err1 != nil))
}

// copiesItself reports whether copies between files are made of transfers, but for os.
func (p *pair) copiesItself() bool { return p.closed || p.armed }

// copies compares what comes of copying between files. The kernel does that for os. Where it does
// not for ringfile, as a deadline must be observed, the error is of one of the transfers that make up
// the copy, and one that has nothing to copy does not notice that it cannot write. If a file is closed, os blames the one or the other, or says nothing for lack of data.
func (p *pair) copies(n, n1 int64, err, err1 error) string {
	if !p.copiesItself() {
		return outcomes(n, n1, err, err1)
	}
	var errno, errno1 syscall.Errno
	same := errors.As(err, &errno) == errors.As(err1, &errno1) && errno == errno1 &&
		errors.Is(err, fs.ErrClosed) == errors.Is(err1, fs.ErrClosed)
	noticed := err == nil || err1 == nil
	if n != n1 || !same && (n != 0 || !noticed) {
		return fmt.Sprintf("%d, %v, want %d, %v", n, err, n1, err1)
	}
	return ""
}

// rewind compares the positions of the partners and sets them to an offset for the next copy. One
// made of transfers that failed may have read what it could not write.
func (p *pair) rewind(failed bool) string {
	pos, err := p.ownFile.Seek(0, io.SeekCurrent)
	pos1, err1 := p.stdFile.Seek(0, io.SeekCurrent)
	if diff := outcomes(pos, pos1, err, err1); diff != "" && !(failed && p.copiesItself()) {
		return "the other file's position: " + diff
	}
	off := max(0, p.offset())
	pos, err = p.ownFile.Seek(off, io.SeekStart)
	pos1, err1 = p.stdFile.Seek(off, io.SeekStart)
	return outcomes(pos, pos1, err, err1)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// comparePositions compares where the files stand.
func (p *pair) comparePositions() string {
	if p.kind == kindDirectory {
		return "" // a hash on some file systems; and seeking would rewind what has been read ahead
	}
	pos, err := p.own.Seek(0, io.SeekCurrent)
	pos1, err1 := p.std.Seek(0, io.SeekCurrent)
	if diff := outcomes(pos, pos1, err, err1); diff != "" {
		return "the position: " + diff
	}
	return ""
}

// compareContents compares what is in the files at the end.
func (p *pair) compareContents() (what, diff string) {
	for _, name := range []string{"file", "partner"} {
		got, err := os.ReadFile(filepath.Join(p.dirs[0], name))
		if err != nil {
			return name, err.Error()
		}
		want, err := os.ReadFile(filepath.Join(p.dirs[1], name))
		if err != nil {
			return name, err.Error()
		}
		if !bytes.Equal(got, want) {
			return name, fmt.Sprintf("%d bytes, want %d; equal up to %d", len(got), len(want), common(got, want))
		}
	}
	return "", ""
}

// common returns how many bytes a and b have in common at the start.
func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// prefix is what the names of the two files start with, and their errors may differ in.
var prefix [2]string

// differ returns how two errors differ for a program that looks at them closely; got is of a
// ringfile.File, want of an os.File.
func differ(got, want error) string {
	if name := "use of closed file"; want != nil && strings.HasSuffix(want.Error(), name) {
		// poll.ErrFileClosing: os forgets to translate it in a few places. Here it is fs.ErrClosed.
		if path, ok := got.(*fs.PathError); got != want && (!ok || path.Err != fs.ErrClosed) {
			return fmt.Sprintf("error %v, want fs.ErrClosed", got)
		}
		return ""
	}
	report := func() string { return fmt.Sprintf("error %#v (%v), want %#v (%v)", got, got, want, want) }
	if (got == nil) != (want == nil) {
		return report()
	}
	for _, class := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, fs.ErrClosed, fs.ErrInvalid,
		fs.ErrExist, fs.ErrNotExist, fs.ErrPermission, os.ErrDeadlineExceeded, os.ErrNoDeadline, errors.ErrUnsupported} {
		if errors.Is(got, class) != errors.Is(want, class) || (got == class) != (want == class) {
			return report()
		}
	}
	if wantPath, ok := want.(*fs.PathError); ok {
		gotPath, ok := got.(*fs.PathError)
		if !ok || gotPath.Op != wantPath.Op ||
			strings.TrimPrefix(gotPath.Path, prefix[0]) != strings.TrimPrefix(wantPath.Path, prefix[1]) {
			return report()
		}
		got, want = gotPath.Err, wantPath.Err
	}
	// What is left is an errno, a sentinel, or made on the spot.
	var errno, errno1 syscall.Errno
	if errors.As(got, &errno) != errors.As(want, &errno1) || errno != errno1 ||
		reflect.TypeOf(got) != reflect.TypeOf(want) || got != nil && got.Error() != want.Error() {
		return report()
	}
	if got != want && (want == fs.ErrClosed || errno != 0 && reflect.TypeOf(want) == reflect.TypeFor[syscall.Errno]()) {
		return report()
	}
	return ""
}
