package route

import (
	"runtime"
	"sync/atomic"
)

// Few admits transfers of one kind that are better left to system calls while no more than a few of them
// are under way: what a ring saves outweighs what it costs once there are more than a few in flight. After
// that was so it admits none for a while, as callers come and go.
type Few struct {
	now    atomic.Int32  // admitted and not left
	memory atomic.Int32  // transfers to go until one is admitted again
	asked  atomic.Uint32 // transfers that asked
}

const (
	fewMemory = 64
	fewProbe  = 1024 // once in so many transfers Few looks for others that are ready to run
)

// Enter admits a transfer beside flying requests on rings, if there are no more than most with it. If it
// reports true, Leave ends it.
func (f *Few) Enter(flying, most int) bool {
	n := int32(flying) + f.now.Add(1)
	memory := f.memory.Load()
	// A few goroutines can keep the Ps to themselves, blocked in system calls, so that it never shows that
	// there are more: now and then, let those who are ready come.
	if memory == 0 && f.asked.Add(1)%fewProbe <= uint32(most) {
		runtime.Gosched()
		n = int32(flying) + f.now.Load()
	}
	switch {
	case int(n) > most:
		f.memory.Store(fewMemory)
	case memory > 0:
		f.memory.Store(memory - 1)
	default:
		return true
	}
	f.now.Add(-1)
	return false
}

// Leave ends a transfer that was admitted.
func (f *Few) Leave() { f.now.Add(-1) }
