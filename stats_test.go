package ringfile

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestStatsBytes moves known amounts on each route and finds them in the counts.
func TestStatsBytes(t *testing.T) {
	for _, b := range []Backend{BackendURing, BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := New(Config{})
			if err != nil {
				t.Skip(err)
			}
			defer e.Close()
			name := testutil.PatternFile(t, 1<<20)
			f, err := e.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			buf := AlignedBuffer(8192, 4096)
			for range 10 {
				if _, err := f.ReadAt(buf, 0); err != nil { // just written: in the page cache
					t.Fatal(err)
				}
			}
			if _, err := f.WriteAt(buf, 4096); err != nil {
				t.Fatal(err)
			}
			s := e.Stats()
			if got := s.CachedBytes + s.RingBytes + s.BlockingBytes; got != 11*8192 {
				t.Errorf("%d bytes in all, want %d: %+v", got, 11*8192, s)
			}
			if (s.Reason == "") != (b == BackendURing) {
				t.Errorf("Reason = %q", s.Reason)
			}
			if s.OldestInFlight != 0 {
				t.Errorf("OldestInFlight = %v with nothing in flight", s.OldestInFlight)
			}
			direct, err := e.OpenFile(name, os.O_RDWR|testDirect, 0)
			if err != nil || b == BackendBlocking {
				return
			}
			defer direct.Close()
			throughRing(t, direct)
			for range 3 {
				if _, err := direct.ReadAt(buf, 0); err != nil {
					t.Fatal(err)
				}
			}
			was := s
			s = e.Stats()
			if got := s.RingBytes - was.RingBytes; got < 2*8192 {
				t.Errorf("%d bytes through the ring, want %d at least", got, 2*8192)
			}
			// A request may have completed before it counts as submitted.
			for end := time.Now().Add(prompt); ; time.Sleep(time.Millisecond) {
				s = e.Stats()
				var calls uint64
				for _, n := range s.Batches {
					calls += n
				}
				if s.Submissions >= 2 && calls <= s.Enters && s.Batches[0] > 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d submissions in batches %v, %d enters", s.Submissions, s.Batches, s.Enters)
				}
			}
		})
	}
}

// TestOldestInFlight has an operation on each route stay with the kernel, and sees its age.
func TestOldestInFlight(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := e.Open(testutil.PatternFile(t, 10))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	age := func(what string, old bool) {
		t.Helper()
		time.Sleep(2 * time.Millisecond)
		if got := e.Stats().OldestInFlight; old && got < 2*time.Millisecond || !old && got != 0 {
			t.Errorf("%s: the oldest operation is %v old", what, got)
		}
	}
	age("nothing is under way", false)
	for what, p := range map[string]*limit.Pool{
		"a call on a file": f.t.dev.calls, "a call on a name": f.t.dev.lane.names, "a call on a name of no device": e.devices.nowhere,
	} {
		permit := p.Acquire()
		permit.Note(clock())
		age(what, true)
		p.Release(&permit)
		age("after "+what, false)
	}
	q := f.t.dev.queue()
	if q == nil {
		return
	}
	req := &request{operation: operation{desc: &f.t.descriptor}, began: clock()}
	q.mu.Lock()
	q.slots.take(req)
	q.mu.Unlock()
	age("a request", true)
	q.mu.Lock()
	q.slots.release(req)
	q.waiting.push(req)
	q.mu.Unlock()
	age("a request in line", true)
	q.mu.Lock()
	q.waiting.remove(req)
	q.mu.Unlock()
	age("after the request", false)
}

// TestFallbackLogged makes engines with and without io_uring, and counts lines.
func TestFallbackLogged(t *testing.T) {
	var out bytes.Buffer
	e, err := New(Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	lines := strings.Count(out.String(), "\n")
	if fallen := e.reason != nil; fallen && lines != 1 || !fallen && lines != 0 {
		t.Errorf("io_uring: %v; logged: %q", e.Available(), out.String())
	}
}

// TestTraceRegions records a trace and finds the package's regions in it.
func TestTraceRegions(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("go test -trace has the recorder")
	}
	var out bytes.Buffer
	if err := trace.Start(&out); err != nil {
		t.Skip(err)
	}
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := e.OpenFile(testutil.PatternFile(t, 1<<20), os.O_RDWR|testDirect, 0)
	if err == nil {
		defer f.Close()
		if e.Available() == nil {
			throughRing(t, f)
		}
		buf := AlignedBuffer(4096, 4096)
		for i := range 8 {
			if _, err := f.ReadAt(buf, int64(i)*4096); err != nil {
				t.Error(err)
			}
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		if _, err := f.ReadAtContext(context.Background(), buf, 0); err != nil {
			t.Error(err)
		}
	}
	trace.Stop()
	if err != nil {
		t.Skip(err)
	}
	want := []string{"ringfile.blocking"}
	if e.Available() == nil {
		want = append(want, "ringfile.ring")
	}
	for _, name := range want {
		if !bytes.Contains(out.Bytes(), []byte(name)) {
			t.Errorf("no region %s in the trace", name)
		}
	}
}
