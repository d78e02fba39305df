package ringfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/testutil"
)

// contentsSizes are sizes around those of pages, of buffers and of pieces.
var contentsSizes = []int{0, 1, 100, 511, 512, 513, 4095, 4096, 4097, 100_000, 1 << 20, 3<<20 + 1}

// TestReadFileSizes reads files of all sizes whole, by the methods and by the package's functions.
func TestReadFileSizes(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		for _, size := range contentsSizes {
			name := testutil.PatternFile(t, size)
			for what, read := range map[string]func(string) ([]byte, error){"method": e.ReadFile, "function": ringfile.ReadFile} {
				got, err := read(name)
				if got == nil || err != nil || !bytes.Equal(got, testutil.PatternBytes(size)) {
					t.Errorf("%s, %d bytes: %d, %v, differs at %d", what, size, len(got), err, testutil.CheckPattern(got, 0))
				}
			}
		}
	})
}

// TestReadFileIntoSizes reads files of all sizes into buffers of all sizes. What is behind the bytes that were
// read stays as it was.
func TestReadFileIntoSizes(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		into := map[string]func(string, []byte) (int, error){"method": e.ReadFileInto, "function": ringfile.ReadFileInto}
		old := bytes.Repeat([]byte{0xee}, slices.Max(contentsSizes))
		for _, size := range contentsSizes {
			name, want := testutil.PatternFile(t, size), testutil.PatternBytes(size)
			for _, room := range append([]int{50, 5000, 200_000}, contentsSizes...) {
				for what, read := range into {
					p := bytes.Clone(old[:room])
					n, err := read(name, p)
					if n != min(size, room) || err != nil || !bytes.Equal(p[:n], want[:n]) {
						t.Fatalf("%s, %d bytes into %d: %d, %v", what, size, room, n, err)
					}
					if !bytes.Equal(p[n:], old[n:room]) {
						t.Errorf("%s, %d bytes into %d: stored to behind them", what, size, room)
					}
				}
			}
		}
	})
}

// TestWriteFileSizes writes files whole, new ones, and over shorter and longer ones, beside os.
func TestWriteFileSizes(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		for what, write := range map[string]func(string, []byte, fs.FileMode) error{"method": e.WriteFile, "function": ringfile.WriteFile} {
			for _, before := range []int{-1, 0, 100, 200_000} {
				for i, size := range contentsSizes {
					name, std := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "file")
					perm := []fs.FileMode{0o600, 0o666, 0o640, 0o444}[i%4]
					for _, name := range []string{name, std} {
						if before < 0 {
							continue
						}
						if err := os.WriteFile(name, make([]byte, before), 0o604); err != nil {
							t.Fatal(err)
						}
					}
					data := testutil.PatternBytes(size)
					if err := errors.Join(write(name, data, perm), os.WriteFile(std, data, perm)); err != nil {
						t.Fatal(err)
					}
					if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
						t.Errorf("%s, %d bytes over %d: %d, %v", what, size, before, len(got), err)
					}
					if got, want := describeNamed(name), describeNamed(std); got != want {
						t.Errorf("%s, %d bytes over %d: %s, want %s", what, size, before, got, want)
					}
				}
			}
		}
	})
}

// TestContentsErrors reads and writes what cannot be, beside os, and with an engine that is closed.
func TestContentsErrors(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		loop := filepath.Join(dir, "loop")
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Symlink(loop, loop) // not everywhere; then it is one more that is missing
		for _, name := range []string{dir, dir + "/", filepath.Join(dir, "none"), filepath.Join(dir, "none", "file"), file + "/", file + "/x", loop, "", "a\x00b"} {
			want, wantErr := os.ReadFile(name)
			got, err := e.ReadFile(name)
			if words(name, string(got), err) != words(name, string(want), wantErr) {
				t.Errorf("ReadFile: %s, want %s", words(name, string(got), err), words(name, string(want), wantErr))
			}
			n, err := e.ReadFileInto(name, make([]byte, 100))
			if n != 0 || words(name, "", err) != words(name, "", wantErr) {
				t.Errorf("ReadFileInto: %d, %s, want %s", n, words(name, "", err), words(name, "", wantErr))
			}
		}
		for _, name := range []string{dir, filepath.Join(dir, "none", "file"), file + "/", file + "/x", loop, "", "a\x00b"} {
			want, err := os.WriteFile(name, []byte("x"), 0o600), e.WriteFile(name, []byte("x"), 0o600)
			if err == nil || words(name, "", err) != words(name, "", want) {
				t.Errorf("WriteFile: %s, want %s", words(name, "", err), words(name, "", want))
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		_, readErr := e.ReadFile(file)
		_, intoErr := e.ReadFileInto(file, make([]byte, 10))
		for what, err := range map[string]error{"ReadFile": readErr, "ReadFileInto": intoErr, "WriteFile": e.WriteFile(file, nil, 0o600)} {
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Op != "open" || pe.Path != file || pe.Err != ringfile.ErrEngineClosed {
				t.Errorf("%s by a closed engine: %v", what, err)
			}
		}
		if got, _ := os.ReadFile(file); string(got) != "text" {
			t.Errorf("the file is %q", got)
		}
	})
}

// TestContentsMany has many goroutines read and write files whole: nothing gets into another's memory, and
// no descriptor stays open.
func TestContentsMany(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		dir := t.TempDir()
		shared := testutil.PatternFile(t, 4097)
		before := testutil.OpenDescriptors()
		var wg sync.WaitGroup
		for w := range 200 {
			wg.Go(func() {
				own, data, p := filepath.Join(dir, fmt.Sprint(w)), bytes.Repeat([]byte{byte(w)}, 1000+w), make([]byte, 5000)
				for range 10 {
					n, err := e.ReadFileInto(shared, p)
					if n != 4097 || err != nil || testutil.CheckPattern(p[:n], 0) >= 0 {
						t.Errorf("ReadFileInto: %d, %v", n, err)
					}
					if err := e.WriteFile(own, data, 0o600); err != nil {
						t.Errorf("WriteFile: %v", err)
					}
					if got, err := e.ReadFile(own); err != nil || !bytes.Equal(got, data) {
						t.Errorf("ReadFile: %d bytes, %v", len(got), err)
					}
				}
			})
		}
		wg.Wait()
		for _, fd := range testutil.OpenDescriptors() {
			if !slices.Contains(before, fd) && filepath.Base(filepath.Dir(fd)) == filepath.Base(dir) {
				t.Errorf("still open: %s", fd)
			}
		}
	})
}

// TestContentsGrow reads a file that is appended to meanwhile: what is read is a beginning of it, and not
// less than there was.
func TestContentsGrow(t *testing.T) {
	const first, pieces = 1000, 300
	all := testutil.PatternBytes(first + pieces*777)
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		name := testutil.PatternFile(t, first)
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var written atomic.Int64
		written.Store(first)
		var wg sync.WaitGroup
		wg.Go(func() {
			for piece := range slices.Chunk(all[first:], 777) {
				f.WriteAt(piece, written.Load())
				written.Add(777)
				time.Sleep(100 * time.Microsecond)
			}
		})
		p := make([]byte, 2*len(all))
		for atEnd := false; !atEnd; {
			least := int(written.Load())
			atEnd = least == len(all)
			got, err := e.ReadFile(name)
			if len(got) < least || err != nil || !bytes.HasPrefix(all, got) {
				t.Errorf("ReadFile: %d of %d, %v", len(got), least, err)
			}
			n, err := e.ReadFileInto(name, p)
			if n < least || err != nil || !bytes.HasPrefix(all, p[:n]) {
				t.Errorf("ReadFileInto: %d of %d, %v", n, least, err)
			}
		}
		wg.Wait()
	})
}

// TestStormContentsEngineClose closes engines while files are read and written whole.
func TestStormContentsEngineClose(t *testing.T) {
	stormEngines(t, 6, func(t *testing.T, rng *rand.Rand, e *ringfile.Engine, f *ringfile.File, w int) {
		p, own := make([]byte, 10_000), fmt.Sprint(f.Name(), w)
		for range 5 {
			n, err := e.ReadFileInto(f.Name(), p)
			checkRead(t, n, err, p, 0)
			if got, err := e.ReadFile(f.Name()); err == nil || !expected(err) {
				checkRead(t, len(got), err, got, 0)
			}
			if err := e.WriteFile(own, p[:rng.IntN(len(p))], 0o600); err != nil && !expected(err) {
				t.Errorf("WriteFile: %v", err)
			}
		}
	})
}

// TestReadFileProc reads files that the kernel makes up and that claim to be empty, a page or less at a time:
// whole, and beginnings of them.
func TestReadFileProc(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		for _, name := range []string{"/proc/kallsyms", "/proc/self/maps", "/proc/self/smaps", "/proc/filesystems", "/proc/cpuinfo", "/proc/self/cmdline"} {
			st, err := os.Stat(name)
			if err != nil {
				continue
			}
			want, err := os.ReadFile(name)
			if st.Size() != 0 || err != nil {
				t.Logf("%s: %d bytes, %v", name, st.Size(), err)
				continue
			}
			got, err := e.ReadFile(name)
			if err != nil || !alike(name, got, want) {
				t.Errorf("ReadFile of %s: %d bytes, %v, want %d", name, len(got), err, len(want))
			}
			p := make([]byte, len(want)+1<<20)
			n, err := e.ReadFileInto(name, p)
			if err != nil || !alike(name, p[:n], want) {
				t.Errorf("ReadFileInto of %s: %d bytes, %v, want %d", name, n, err, len(want))
			}
			for _, room := range []int{0, 1, 100, 4095, 4096, 5000, 100_000} {
				n, err := e.ReadFileInto(name, p[:room])
				if err != nil || n < min(room, len(want)/2) || room <= 100 && !bytes.HasPrefix(want, p[:n]) {
					t.Errorf("%d bytes of %s: %d, %v", room, name, n, err)
				}
			}
		}
	})
}

// alike reports whether both are the whole of a file that the kernel makes up.
func alike(name string, a, b []byte) bool {
	if filepath.Base(name) != "maps" && filepath.Base(name) != "smaps" && filepath.Base(name) != "cpuinfo" {
		return bytes.Equal(a, b)
	}
	// They change: but not the first line, nor how the last one begins, nor very much.
	ends := func(p []byte) (first, last []byte) {
		lines := bytes.Split(bytes.TrimSpace(p), []byte("\n"))
		last = lines[len(lines)-1]
		return lines[0], last[:min(len(last), 10)]
	}
	first, last := ends(a)
	first1, last1 := ends(b)
	return bytes.Equal(first, first1) && bytes.Equal(last, last1) && len(a) > len(b)/2 && len(b) > len(a)/2
}

// TestReadFileDevices reads devices that are endless and that are empty.
func TestReadFileDevices(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		p := bytes.Repeat([]byte{1}, 1<<20+1)
		if n, err := e.ReadFileInto(os.DevNull, p); n != 0 || err != nil {
			t.Errorf("ReadFileInto of %s: %d, %v", os.DevNull, n, err)
		}
		if got, err := e.ReadFile(os.DevNull); len(got) != 0 || err != nil {
			t.Errorf("ReadFile of %s: %d, %v", os.DevNull, len(got), err)
		}
		if err := e.WriteFile(os.DevNull, p, 0o600); err != nil {
			t.Errorf("WriteFile of %s: %v", os.DevNull, err)
		}
		if _, err := os.Stat("/dev/zero"); err != nil {
			t.Skip(err)
		}
		if n, err := e.ReadFileInto("/dev/zero", p); n != len(p) || err != nil || slices.Max(p) != 0 {
			t.Errorf("ReadFileInto of /dev/zero: %d, %v", n, err)
		}
	})
}

// mkfifo makes a FIFO, and skips the test where there are none.
func mkfifo(t *testing.T, name string) string {
	t.Helper()
	if out, err := exec.Command("mkfifo", name).CombinedOutput(); err != nil {
		t.Skipf("mkfifo: %v, %s", err, out)
	}
	return name
}

// TestContentsFIFO reads what a writer puts into a FIFO, a little at a time, and writes to a reader.
func TestContentsFIFO(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		fifo := mkfifo(t, filepath.Join(t.TempDir(), "fifo"))
		data := testutil.PatternBytes(300_000) // more than it holds
		var wg sync.WaitGroup
		write := func() {
			w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			for piece := range slices.Chunk(data, 60_000) {
				if _, err := w.Write(piece); err != nil {
					return // the reader has enough
				}
				time.Sleep(time.Millisecond)
			}
		}
		wg.Go(write)
		if got, err := e.ReadFile(fifo); err != nil || !bytes.Equal(got, data) {
			t.Errorf("ReadFile: %d bytes, %v", len(got), err)
		}
		wg.Wait()
		for _, room := range []int{1, 60_000, 100_000, 300_000, 400_000} {
			wg.Go(write)
			p := make([]byte, room)
			n, err := e.ReadFileInto(fifo, p)
			if n != min(room, len(data)) || err != nil || !bytes.Equal(p[:n], data[:n]) {
				t.Errorf("ReadFileInto of %d bytes: %d, %v", room, n, err)
			}
			wg.Wait()
		}
		wg.Go(func() {
			if got, err := os.ReadFile(fifo); err != nil || !bytes.Equal(got, data) {
				t.Errorf("after WriteFile: %d bytes, %v", len(got), err)
			}
		})
		if err := e.WriteFile(fifo, data, 0o600); err != nil {
			t.Errorf("WriteFile: %v", err)
		}
		wg.Wait()
	})
}

// TestContentsFIFOsWait has many wait for FIFOs that nobody writes to: nothing else waits for them, in the same
// directory either. They end as soon as there is a writer.
func TestContentsFIFOsWait(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		const readers = 33
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, testutil.PatternBytes(5000), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.ReadFile(file); err != nil { // the engine knows the directory
			t.Fatal(err)
		}
		type result struct {
			i, n int
			err  error
			p    []byte
		}
		done := make(chan result)
		for i := range readers {
			fifo := mkfifo(t, filepath.Join(dir, fmt.Sprint("fifo", i)))
			go func() {
				p := make([]byte, 100)
				n, err := e.ReadFileInto(fifo, p)
				done <- result{i, n, err, p}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		p := make([]byte, 10_000)
		for i := range 20 {
			if n, err := e.ReadFileInto(file, p); n != 5000 || err != nil {
				t.Errorf("ReadFileInto: %d, %v", n, err)
			}
			if got, err := e.ReadFile(file); len(got) != 5000 || err != nil {
				t.Errorf("ReadFile: %d, %v", len(got), err)
			}
			if err := e.WriteFile(filepath.Join(dir, fmt.Sprint("new", i%2)), p, 0o600); err != nil {
				t.Errorf("WriteFile: %v", err)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the others took %v", took)
		}
		select {
		case r := <-done:
			t.Errorf("FIFO %d that nobody writes to: %d, %v", r.i, r.n, r.err)
		default:
		}
		for i := range readers {
			w, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("fifo", i)), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(w, "number ", i)
			w.Close()
			if r := <-done; r.err != nil || r.i != i || string(r.p[:r.n]) != fmt.Sprint("number ", i) {
				t.Errorf("FIFO %d: %q, %v of FIFO %d", i, r.p[:r.n], r.err, r.i)
			}
		}
	})
}

// TestMeasureContents reads small files into memory that is used again: by os, and by this package.
func TestMeasureContents(t *testing.T) {
	dir := measure.Dir(t)
	measure.Header()
	for _, workers := range []int{1, 8, 64} {
		measureContents(t, dir, workers)
	}
}

func measureContents(t *testing.T, dir string, workers int) {
	const files, ops = 256, 2048
	e := measureEngine(t)
	sub := filepath.Join(dir, "ringfile-small")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sub) })
	names := make([]string, files)
	for i := range names {
		names[i] = filepath.Join(sub, fmt.Sprint(i))
		if err := os.WriteFile(names[i], make([]byte, 4000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	side := func(name string, proof func() string, read func(name string, p []byte) error) measure.Side {
		return measure.Side{Name: name, Proof: proof, Run: func() (int, error) {
			var g errgroup.Group
			for w := range workers {
				g.Go(func() error {
					p := make([]byte, 8192)
					for i := range ops / workers {
						if err := read(names[(w*37+i)%files], p); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return ops, g.Wait()
		}}
	}
	measure.Compare(t, fmt.Sprintf("read files of 4 KB, cached, %d goroutines", workers),
		side("os.ReadFile", nil, func(name string, p []byte) error {
			_, err := os.ReadFile(name)
			return err
		}),
		side("os.Open, Read, Close", nil, func(name string, p []byte) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Read(p)
			return err
		}),
		side("ReadFile", routesTaken(e), func(name string, p []byte) error {
			_, err := e.ReadFile(name)
			return err
		}),
		side("ReadFileInto", routesTaken(e), func(name string, p []byte) error {
			_, err := e.ReadFileInto(name, p)
			return err
		}),
	)
}
