package ringfile

import (
	"math"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// FuzzConfig checks that a Config, with whatever RINGFILE_BACKEND says, is refused or becomes one that
// an engine can be made from.
func FuzzConfig(f *testing.F) {
	f.Add("", uint8(0), 0, 0, 0, 0, int64(0))
	f.Add("uring", uint8(2), 1, 16, 1, 1, int64(time.Second))
	f.Add("URING", uint8(3), -1, 15, -1, -1, int64(-1))
	f.Add("blocking\x01", uint8(255), 1025, 16385, 1<<30, 1<<30, int64(1)<<62)
	f.Fuzz(func(t *testing.T, env string, backend uint8, rings, depth, workers, limit int, timeout int64) {
		b, err := parseBackend(env)
		if known := err == nil; known != (env == "" || b.String() == env) {
			t.Fatalf("RINGFILE_BACKEND=%q is %v, %v", env, b, err)
		}
		for _, c := range []byte(env) {
			if c == 0 {
				return // no environment variable can have that
			}
		}
		t.Setenv("RINGFILE_BACKEND", env)
		given := Config{Backend: Backend(backend), Rings: rings, Depth: depth, Workers: workers,
			BlockingLimit: limit, CloseTimeout: time.Duration(timeout)}
		c, err1 := given.withDefaults()
		if err1 != nil {
			return
		}
		want := given.Backend
		if b == BackendBlocking || want == BackendAuto {
			want = b
		}
		if err != nil || given.Backend > BackendBlocking || c.Backend != want {
			t.Errorf("RINGFILE_BACKEND=%q, %v: %+v", env, given.Backend, c)
		}
		if c.Rings < 1 || c.Rings > 1024 || c.Workers < 1 || c.CloseTimeout <= 0 || c.BlockingLimit < 0 ||
			c.Depth != 0 && (c.Depth < minDepth || c.Depth > maxDepth) {
			t.Errorf("%+v became %+v", given, c)
		}
	})
}

// TestHugeBlockingLimit sets limits that mean none: calls are admitted all the same.
func TestHugeBlockingLimit(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking")
	defer testutil.Watchdog(t, time.Minute)()
	for _, limit := range []int64{1 << 30, 1 << 32, 1 << 62, math.MaxInt64} {
		e, err := New(Config{BlockingLimit: int(min(limit, math.MaxInt))})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := e.ReadFile(testutil.PatternFile(t, 100)); len(p) != 100 || err != nil {
			t.Errorf("limit %d: %d bytes, %v", limit, len(p), err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
