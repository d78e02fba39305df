package route

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// TestFew has transfers come one by one: as many as Few says are admitted, and after there were more none is
// for a while.
func TestFew(t *testing.T) {
	var f Few
	for i := range 3 {
		if !f.Enter(0, 3) {
			t.Fatalf("%d under way, want 3 to be admitted", i)
		}
	}
	if f.Enter(0, 3) {
		t.Fatal("a fourth is admitted")
	}
	for range 3 {
		f.Leave()
	}
	refused := 0
	for !f.Enter(0, 3) {
		if refused++; refused > 2*fewMemory {
			t.Fatal("none is admitted any more")
		}
	}
	if refused != fewMemory {
		t.Errorf("%d were sent away afterwards, want %d", refused, fewMemory)
	}
	f.Leave()
	if n := f.now.Load(); n != 0 {
		t.Errorf("%d are under way, and all have left", n)
	}
	// Requests on rings count.
	if !f.Enter(2, 3) {
		t.Error("one beside two requests, want 3 in all to be admitted")
	}
	f.Leave()
	if f.Enter(3, 3) {
		t.Error("one beside three requests is admitted")
	}
}

// TestFewNone admits none: what tests set that want to see a ring.
func TestFewNone(t *testing.T) {
	for _, most := range []int{-3, 0} {
		var f Few
		for range 3 * fewMemory {
			if f.Enter(0, most) {
				t.Fatalf("at most %d: one is admitted", most)
			}
		}
		if n := f.now.Load(); n != 0 {
			t.Errorf("%d are under way", n)
		}
	}
}

// TestFewStorm has many come and go: there are never more than Few says, and none stays.
func TestFewStorm(t *testing.T) {
	var f Few
	var now atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(testutil.StressTime(t) / 4)
	for range 8 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				if f.Enter(i%3, 4) {
					if n := now.Add(1); n > 4 {
						t.Errorf("%d are under way, want 4 at most", n)
					}
					now.Add(-1)
					f.Leave()
				}
			}
		})
	}
	wg.Wait()
	if n := f.now.Load(); n != 0 {
		t.Errorf("%d are under way, and all have left", n)
	}
	for range 2 * fewMemory {
		if f.Enter(0, 4) {
			f.Leave()
			return
		}
	}
	t.Error("none is admitted any more")
}
