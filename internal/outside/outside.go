// Package outside starts goroutines, and makes channels, that belong to no bubble of testing/synctest.
//
// A goroutine belongs to the bubble of the one that starts it, and so does a channel that is made
// there: the bubble waits for the goroutine's end, and goroutines outside may not use the channel.
// Anything that outlives a call, such as the goroutines of a ring, must therefore come from here.
package outside

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// bubbled reports whether the caller is in a synctest bubble. The clock of a bubble has no monotonic
// reading.
func bubbled() bool {
	now := time.Now()
	return now == now.Round(0)
}

// Go runs f in a goroutine of its own that belongs to no bubble. In a bubble that takes a garbage
// collection; elsewhere it is a go statement.
func Go(f func()) {
	if !bubbled() {
		go f()
		return
	}
	// The functions of timers do not help: Reset takes the bubble's time for the program's, which is
	// decades behind. Those of AddCleanup "run outside of any bubble" (package synctest).
	started := new(atomic.Bool)
	abandon(func() {
		go f()
		started.Store(true)
	})
	for !started.Load() {
		runtime.GC()
		runtime.Gosched()
	}
}

// abandon has the collector call f when it runs next.
//
//go:noinline
func abandon(f func()) {
	// Not a tiny object: those are freed several at a time.
	runtime.AddCleanup(new([64]byte), func(f func()) { f() }, f)
}

// Do runs f outside of bubbles and waits for it. f must not wait for what the caller's bubble does.
func Do(f func()) {
	if !bubbled() {
		f()
		return
	}
	var done sync.Mutex // mutexes belong to no bubble
	done.Lock()
	Go(func() {
		defer done.Unlock()
		f()
	})
	done.Lock()
}

// spare has unused channels.
var spare sync.Pool

// chunk is how many channels are made at a time.
const chunk = 32

// Chan returns an empty channel of one element that belongs to no bubble. Free takes it back.
func Chan() chan struct{} {
	if ch, ok := spare.Get().(chan struct{}); ok {
		return ch
	}
	var first chan struct{}
	Do(func() {
		first = make(chan struct{}, 1)
		for range chunk - 1 {
			spare.Put(make(chan struct{}, 1))
		}
	})
	return first
}

// Free takes back a channel of Chan, which must be empty, and which nobody uses any more.
func Free(ch chan struct{}) { spare.Put(ch) }
