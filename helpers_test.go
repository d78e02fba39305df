package ringfile

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/internal/testutil"
)

// eachBackend runs test on an engine of each backend that there is.
func eachBackend(t *testing.T, c Config, test func(t *testing.T, e *Engine)) {
	for _, b := range []Backend{BackendURing, BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := New(c)
			if err != nil {
				t.Skip(err)
			}
			defer testutil.Watchdog(t, time.Minute)()
			test(t, e)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
		})
	}
}

// throughRing has the direct transfers on the file's device go through its ring, which is made.
func throughRing(t *testing.T, f *File) {
	t.Helper()
	if f.t.dev.queue() == nil { // now, as for others there is none while somebody makes it
		t.Fatal("no queue")
	}
	f.t.dev.facts.nowait.Set(route.Yes)
	f.t.dev.facts.memory.Set(route.No)
	// A transfer that is alone, or nearly so, would be left to a system call.
	f.t.dev.fewPerP.Store(-1)
}

// queueOf returns the first queue of the file's device.
func queueOf(t *testing.T, f *File) *queue {
	t.Helper()
	for q := range f.t.dev.everyQueue {
		return q
	}
	t.Fatal("no queue")
	return nil
}

// awaitIdle waits until the reaper is parked.
func awaitIdle(q *queue) {
	eventually(func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.state == idle
	})
}

// takeAll takes all permits that a pool ever gives, and returns what gives them back.
func takeAll(p *limit.Pool, hard int) (giveBack func()) {
	var all []limit.Permit
	for range hard {
		all = append(all, p.Acquire())
	}
	return func() {
		for _, permit := range all {
			p.Release(&permit)
		}
	}
}

// eventually waits until cond holds; the watchdog ends what never does.
func eventually(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// stacksWith returns how often functions are called now whose names have what in them.
func stacksWith(what string) int {
	buf := make([]byte, 4<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), what)
}

// prompt is how long what does not wait may take on a machine that has other things to do.
const prompt = 10 * time.Second

// promptly runs call, which must not wait.
func promptly(t *testing.T, what string, call func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
	case <-time.After(prompt):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s does not return\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}
