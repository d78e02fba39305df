package outside

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfile/ringfile/internal/race"
)

// inAndOut runs test in a bubble, outside, and in another bubble.
func inAndOut(t *testing.T, test func(t *testing.T)) {
	t.Run("in", func(t *testing.T) { synctest.Test(t, test) })
	t.Run("out", test)
	t.Run("in again", func(t *testing.T) { synctest.Test(t, test) })
}

func TestBubbled(t *testing.T) {
	if bubbled() {
		t.Error("in a bubble, outside")
	}
	synctest.Test(t, func(t *testing.T) {
		if !bubbled() {
			t.Error("not in a bubble, inside")
		}
		done := make(chan bool)
		go func() { done <- bubbled() }()
		if !<-done {
			t.Error("not in a bubble, in a goroutine of one")
		}
	})
}

// TestGo starts goroutines that are not of the bubble, and that it does not wait for.
func TestGo(t *testing.T) {
	var running sync.WaitGroup
	release := make(chan struct{}) // of no bubble
	running.Add(15)
	inAndOut(t, func(t *testing.T) {
		for range 5 {
			Go(func() {
				if bubbled() {
					t.Error("in a bubble")
				}
				<-release
				running.Done()
			})
		}
	})
	close(release)
	running.Wait()
}

// TestDo waits for what takes time, while the bubble's clock stands still.
func TestDo(t *testing.T) {
	inAndOut(t, func(t *testing.T) {
		before := time.Now()
		done := false
		Do(func() {
			if bubbled() {
				t.Error("in a bubble")
			}
			time.Sleep(time.Millisecond)
			done = true
		})
		if !done {
			t.Error("Do did not wait")
		}
		if bubbled() && time.Now() != before {
			t.Error("the bubble's clock went on")
		}
	})
}

// TestChan uses channels that were made in one bubble in another, and outside.
func TestChan(t *testing.T) {
	var kept []chan struct{}
	use := func(t *testing.T) {
		for _, ch := range kept {
			Free(ch)
		}
		kept = kept[:0]
		for range 2*chunk + 1 {
			ch := Chan()
			kept = append(kept, ch)
			sent := make(chan struct{})
			go func() {
				ch <- struct{}{}
				close(sent)
			}()
			<-ch
			<-sent
		}
		ch := kept[0]
		Go(func() { ch <- struct{}{} })
		<-ch
	}
	inAndOut(t, use)
}

// TestNothingStays looks for goroutines that are left behind.
func TestNothingStays(t *testing.T) {
	before := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		Do(func() {})
		Free(Chan())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { Do(func() {}) })
		}
		wg.Wait()
	})
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}

func TestChanAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("sync.Pool drops elements under the race detector")
	}
	Free(Chan())
	if n := testing.AllocsPerRun(1000, func() { Free(Chan()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
