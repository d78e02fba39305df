package ringfile_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// newPool makes a pool and skips the test if it is not registered where that may be.
func newPool(t *testing.T, e *ringfile.Engine, n, size int) *ringfile.BufferPool {
	t.Helper()
	p := e.NewBufferPool(size, n)
	if err := p.Registered(); err != nil {
		if e.Available() != nil || kernelBefore(5, 19) {
			e.Close()
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return p
}

// kernelBefore reports whether the kernel is older than a version.
func kernelBefore(major, minor int) bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return false
	}
	var a, b int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &a, &b); err != nil {
		return false
	}
	return a < major || a == major && b < minor
}

// TestRegisteredTransfers reads and writes with registered buffers, parts of them, and others, on
// both backends, and on an engine whose thread submits.
func TestRegisteredTransfers(t *testing.T) {
	run := func(t *testing.T, e *ringfile.Engine) {
		f := openDirect(t, e)
		defer f.Close()
		readDirect(t, f, 0) // the file system is known from here on
		p := e.NewBufferPool(64<<10, 4)
		defer p.Close()
		buf := p.Get()
		ring := e.Stats().Ring
		readDirect(t, f, 0)
		fixed := p.Registered() == nil && e.Stats().Ring > ring
		for _, c := range []struct {
			name     string
			from, to int // of the buffer
			off      int64
		}{
			{"whole", 0, 64 << 10, 0}, {"head", 0, 4096, 8192}, {"middle", 4096, 12288, 4096},
			{"tail", 60 << 10, 64 << 10, 64 << 10}, {"sector", 512, 1024, 512},
		} {
			t.Run(c.name, func(t *testing.T) {
				if align, err := f.DirectAlign(); err == nil && c.from%align.Offset != 0 {
					t.Skipf("transfers are aligned to %d here", align.Offset)
				}
				before := e.Stats().Fixed
				clear(buf)
				part := buf[c.from:c.to]
				if n, err := f.ReadAt(part, c.off); n != len(part) || err != nil || testutil.CheckPattern(part, c.off) >= 0 {
					t.Errorf("ReadAt = %d, %v, or wrong data", n, err)
				}
				for i, b := range buf {
					if b != 0 && (i < c.from || i >= c.to) {
						t.Fatalf("byte %d, outside of %d..%d, was written", i, c.from, c.to)
					}
				}
				if n, err := f.StartReadAt(part, c.off).Await(); n != len(part) || err != nil || testutil.CheckPattern(part, c.off) >= 0 {
					t.Errorf("StartReadAt = %d, %v, or wrong data", n, err)
				}
				if n, err := f.StartWriteAt(part, c.off).Await(); n != len(part) || err != nil {
					t.Errorf("StartWriteAt = %d, %v", n, err)
				}
				again := ringfile.AlignedBuffer(len(part), 4096)
				if n, err := f.ReadAt(again, c.off); n != len(part) || err != nil || testutil.CheckPattern(again, c.off) >= 0 {
					t.Errorf("ReadAt of what was written = %d, %v, or wrong data", n, err)
				}
				if got := e.Stats().Fixed - before; fixed && got < 3 || !fixed && got != 0 {
					t.Errorf("%d transfers with registered buffers", got)
				}
			})
		}
		// At the end of the file.
		if n, err := f.ReadAt(buf, fileSize-4096); n != 4096 || err != io.EOF || testutil.CheckPattern(buf[:4096], fileSize-4096) >= 0 {
			t.Errorf("ReadAt at the end = %d, %v", n, err)
		}
		p.Put(buf)
	}
	roads(t, ringfile.Config{}, run)
	t.Run("sqpoll", func(t *testing.T) { road(t, ringfile.BackendURing, withSQPoll(ringfile.Config{}), run) })
}

// TestRegisteredCrowd takes more buffers than there are, from many goroutines, with a collector at
// work, and makes and closes pools meanwhile.
func TestRegisteredCrowd(t *testing.T) {
	roads(t, ringfile.Config{Rings: 2}, func(t *testing.T, e *ringfile.Engine) {
		f := openDirect(t, e)
		defer f.Close()
		p := e.NewBufferPool(4096, 8)
		storm(t, 24, func(rng *rand.Rand, w int) {
			switch w {
			case 0:
				runtime.GC()
				return
			case 1, 2, 3:
				own := e.NewBufferPool(8192, 1+rng.IntN(4))
				a, b := own.Get(), own.Get()
				n, err := f.ReadAt(a, 4096)
				checkRead(t, n, err, a, 4096)
				own.Put(a)
				if err := own.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				n, err = f.StartReadAt(b, 8192).Await() // the last one keeps the memory
				checkRead(t, n, err, b, 8192)
				own.Put(b)
				return
			}
			buf := p.Get()
			off := rng.Int64N(fileSize/4096) * 4096
			n, err := anyRead(t.Context(), rng, f, buf, off)
			checkRead(t, n, err, buf, off)
			p.Put(buf)
		})
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := e.Stats(); s.Fixed == 0 && s.Ring > 0 && p.Registered() == nil {
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestRegisteredLifetime uses buffers on another engine, after their engine and their pool have been
// closed, and gives back what it should not.
func TestRegisteredLifetime(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := openDirect(t, e)
	readDirect(t, f, 0)
	p := newPool(t, e, 2, 4096)
	a, b, ordinary := p.Get(), p.Get(), p.Get()
	if cap(a) != 4096 || cap(b) != 4096 {
		t.Errorf("capacities %d and %d let one buffer reach into another", cap(a), cap(b))
	}
	before := e.Stats().Fixed
	if n, err := f.ReadAt(ordinary, 4096); n != 4096 || err != nil || e.Stats().Fixed != before {
		t.Errorf("ReadAt with the third of two buffers = %d, %v, taken for registered: %v", n, err, e.Stats().Fixed != before)
	}
	p.Put(ordinary)
	for name, put := range map[string]func(){
		"part":    func() { p.Put(a[512:]) },
		"foreign": func() { p.Put(make([]byte, 100)) },
	} {
		if !panics(put) {
			t.Errorf("Put of a %s buffer does not panic", name)
		}
	}
	p.Put(a)
	if !panics(func() { p.Put(a) }) {
		t.Error("Put of the same buffer twice does not panic")
	}
	other, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := other.OpenFile(f.Name(), os.O_RDONLY|oDirect, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := g.ReadAt(b, 4096); n != 4096 || err != nil || testutil.CheckPattern(b, 4096) >= 0 {
		t.Errorf("ReadAt on another engine = %d, %v, or wrong data", n, err)
	}
	if s := other.Stats(); s.Fixed != 0 {
		t.Error("another engine takes the buffer for its own")
	}
	g.Close()
	f.Close()
	if err := errors.Join(other.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	testutil.Pattern(b, 0) // memory like any other, after the engine has been closed
	if testutil.CheckPattern(b, 0) >= 0 {
		t.Error("the memory does not hold what was written to it")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	testutil.Pattern(b, 4096) // it was not put back yet
	p.Put(b)
	c := p.Get()
	testutil.Pattern(c, 0) // an ordinary one
	p.Put(c)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if late := e.NewBufferPool(4096, 1); late.Registered() == nil || len(late.Get()) != 4096 {
		t.Error("a pool of a closed engine claims to be registered")
	}
}

func panics(do func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	do()
	return false
}

// TestRegisteredLimits makes more and larger pools than can be registered.
func TestRegisteredLimits(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	newPool(t, e, 1, 4096).Close()
	if p := e.NewBufferPool(4096, 1<<19); p.Registered() == nil || !strings.Contains(e.Stats().Unregistered, "1 GiB") {
		t.Errorf("a pool of 2 GiB: %v, stats %q", p.Registered(), e.Stats().Unregistered)
	}
	var pools []*ringfile.BufferPool
	for range 16 {
		pools = append(pools, newPool(t, e, 2, 4096))
	}
	p := e.NewBufferPool(4096, 2)
	if p.Registered() == nil || len(p.Get()) != 4096 {
		t.Errorf("the pool after the last possible one: %v", p.Registered())
	}
	f := openDirect(t, e)
	defer f.Close()
	needRing(t, e, f)
	for i, p := range pools { // each slot leads to its own memory
		buf := p.Get()
		before := e.Stats().Fixed
		if n, err := f.ReadAt(buf, int64(i)*4096); n != 4096 || err != nil || testutil.CheckPattern(buf, int64(i)*4096) >= 0 {
			t.Errorf("pool %d: ReadAt = %d, %v, or wrong data", i, n, err)
		}
		if e.Stats().Fixed == before {
			t.Errorf("pool %d: not recognised", i)
		}
		p.Put(buf)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	newPool(t, e, 2, 4096).Close() // there is room again
	if e := ringfile.NewBufferPool(4096, 512).Registered(); e == nil {
		t.Error("an ordinary pool claims to be registered")
	}
}

// TestRegisteredRefused makes pools where the memory cannot be registered, each case in a process of
// its own: everything works with ordinary buffers, and the reason is told.
func TestRegisteredRefused(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name string
		want string
		root bool // takes root, to become nobody
	}{
		{"memlock", "RLIMIT_MEMLOCK", true},
		{"register", "seccomp or security policy", false},
		{"old", "5.19", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Getuid() != 0 {
				t.Skip("only root can become nobody")
			}
			name := testutil.PatternFile(t, fileSize)
			f, err := os.Open(name) // nobody cannot reach it by name
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd := exec.Command(os.Args[0])
			cmd.ExtraFiles = []*os.File{f}
			cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD=unregistered", "CASE="+c.name, "RINGFILE_BACKEND=uring")
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "skip: ") {
				t.Skipf("%s", out)
			}
			want := c.want
			if kernelBefore(5, 19) && c.name == "memlock" {
				want = "5.19" // there is nothing to be limited
			}
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v, want a reason with %q\n%s", err, want, out)
			}
		})
	}
}

func init() {
	children["unregistered"] = func() int {
		runtime.GOMAXPROCS(1)
		name := os.Getenv("CASE")
		if name == "memlock" {
			if err := becomeNobody(); err != nil {
				fmt.Println("skip:", err)
				return 0
			}
		}
		e, err := ringfile.New(ringfile.Config{Rings: 1, Depth: 16})
		if err != nil {
			fmt.Println("skip:", err)
			return 0
		}
		if err := refuseRegistration(name); err != nil {
			fmt.Println("skip:", err)
			return 0
		}
		p := e.NewBufferPool(64<<10, 64)
		if p.Registered() == nil {
			fmt.Println("registered in spite of everything")
			return 1
		}
		f := e.NewFile(os.NewFile(3, "pattern"))
		buf := p.Get()
		if n, err := f.ReadAt(buf, 4096); n != len(buf) || err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
			fmt.Println("ReadAt:", n, err)
			return 1
		}
		p.Put(buf)
		fmt.Println(p.Registered(), "|", e.Stats().Unregistered)
		if e.Stats().Unregistered != p.Registered().Error() || p.Close() != nil || e.Close() != nil {
			return 1
		}
		return 0
	}
}

// TestRegisteredUnpins makes sure that a closed pool pins nothing, and neither does a closed engine.
func TestRegisteredUnpins(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{Rings: 2})
	if err != nil {
		t.Fatal(err)
	}
	before := pinned(t)
	const size = 4 << 20
	p := newPool(t, e, 4, size/4)
	switch got := pinned(t) - before; {
	case got == 0 && os.Getuid() == 0:
		e.Close()
		p.Close()
		t.Skip("this kernel does not count what the privileged pin, as Linux 7.3")
	case got < size:
		t.Errorf("%d bytes pinned by a pool of %d", got, size)
	}
	buf := p.Get()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := pinned(t) - before; got < size {
		t.Errorf("%d bytes pinned while a buffer of %d is in use", got, size)
	}
	p.Put(buf)
	wait := func(what string) {
		for i := 0; pinned(t) > before; i++ { // what the kernel frees, it frees in its own time
			if i == 1000 {
				t.Fatalf("%d bytes pinned after %s was closed", pinned(t)-before, what)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	wait("the pool")
	p = newPool(t, e, 4, size/4)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	wait("the engine")
	testutil.Pattern(p.Get(), 0) // it is mapped still
}

// pinned returns how many bytes of memory the kernel has pinned for this process.
func pinned(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmPin:")
	if _, err := fmt.Sscanf(rest, "%d kB", &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// TestRegisteredAllocations makes sure that neither the buffers nor their recognition allocate.
func TestRegisteredAllocations(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := openDirect(t, e)
	defer f.Close()
	readDirect(t, f, 0)
	p := newPool(t, e, 4, 4096)
	defer p.Close()
	if n := testing.AllocsPerRun(200, func() {
		buf := p.Get()
		if _, err := f.ReadAt(buf, 4096); err != nil {
			t.Error(err)
		}
		p.Put(buf)
	}); n > 0 {
		t.Errorf("%v allocations for Get, ReadAt, Put", n)
	}
}

// TestRegisteredChain uses registered buffers in a Chain, whose ring knows none of them: it is carried
// out by that ring all the same.
func TestRegisteredChain(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := openDirect(t, e)
	defer f.Close()
	readDirect(t, f, 0) // the file system is known from here on
	needRing(t, e, f)
	p := newPool(t, e, 1, 8192)
	defer p.Close()
	buf := p.Get()
	defer p.Put(buf)
	before := e.Stats()
	var c ringfile.Chain
	c.ReadAt(f, buf, 4096)
	c.WriteAt(f, buf, 4096)
	c.Datasync(f)
	if err := c.Run(); err != nil || testutil.CheckPattern(buf, 4096) >= 0 {
		t.Errorf("Run: %v, or wrong data", err)
	}
	if s := e.Stats(); s.Refused != before.Refused || s.Blocking != before.Blocking || s.Ring != before.Ring+3 {
		t.Errorf("%d links refused, %d done by system calls, %d on a ring",
			s.Refused-before.Refused, s.Blocking-before.Blocking, s.Ring-before.Ring)
	}
}
