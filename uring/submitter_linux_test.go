package uring

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/testutil"
)

// submitters runs test with a ring in the kernel, and with one that has a hook.
func submitters(t *testing.T, test func(t *testing.T, r *Ring)) {
	for _, hook := range []bool{false, true} {
		t.Run(map[bool]string{false: "kernel", true: "hook"}[hook], func(t *testing.T) {
			r := newRing(t, Config{Entries: 64})
			if hook {
				r.SetEnterHook(func(uint32, uint32, EnterFlags) (int, syscall.Errno, bool) { return 0, 0, false })
			}
			defer testutil.Watchdog(t, time.Minute)()
			test(t, r)
		})
	}
}

// TestSubmitter has goroutines queue entries, while the stack is scanned, goroutines compute on all Ps, and the thread sleeps now and then.
func TestSubmitter(t *testing.T) {
	submitters(t, func(t *testing.T, r *Ring) {
		const writers, each = 8, 2000
		var counts SubmitCounts
		s := NewSubmitter(r, &counts)
		ended := make(chan error, 1)
		go func() { ended <- s.Run() }()

		var stop atomic.Bool
		var others, wg sync.WaitGroup
		others.Go(func() {
			for !stop.Load() {
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
		})
		var mu sync.Mutex
		room := make(chan bool, r.SQEntries())
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					room <- true
					mu.Lock()
					e := r.GetSQE()
					for ; e == nil; e = r.GetSQE() { // the kernel says at the end of a submission only what it has taken
						runtime.Gosched()
					}
					e.PrepNop()
					e.UserData = uint64(w*each + i)
					r.Flush()
					mu.Unlock()
					s.Wake()
					if i%200 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		seen := make([]bool, writers*each)
		var cqes [16]CQE
		for n := 0; n < len(seen); {
			if _, err := r.Enter(0, 1, EnterGetEvents); err != nil && err != syscall.EINTR {
				t.Fatal(err)
			}
			k := r.CopyCQEs(cqes[:])
			for _, c := range cqes[:k] {
				if seen[c.UserData] {
					t.Fatalf("entry %d completed twice", c.UserData)
				}
				seen[c.UserData] = true
				<-room
			}
			n += k
		}
		wg.Wait()
		stop.Store(true)
		others.Wait()
		s.Interrupt()
		s.Wake()
		if err := <-ended; err != nil {
			t.Errorf("interrupted: %v", err)
		}
		batches := uint64(0)
		for i := range counts.Batches {
			batches += counts.Batches[i].Load()
		}
		if n := counts.Submitted.Load(); n != writers*each || counts.Enters.Load() < batches || batches == 0 {
			t.Errorf("%d submitted by %d calls, %d of them counted by size", n, counts.Enters.Load(), batches)
		}
	})
}

// TestSubmitterInterrupt interrupts it before there is something to submit, and while it sleeps: what is queued later
// is submitted when it runs again only.
func TestSubmitterInterrupt(t *testing.T) {
	submitters(t, func(t *testing.T, r *Ring) {
		var counts SubmitCounts
		s := NewSubmitter(r, &counts)
		for i := range 100 {
			ended := make(chan error, 1)
			if i%2 == 0 {
				s.Interrupt()
			}
			go func() { ended <- s.Run() }()
			if i%2 != 0 {
				if i%4 == 1 { // asleep
					for s.asleep.Load() == 0 {
						runtime.Gosched()
					}
				}
				s.Interrupt()
			}
			prepare(t, r, uint64(i), func(e *SQE) { e.PrepNop() })
			r.Flush()
			s.Wake()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if n := counts.Submitted.Load(); n != uint64(i) {
				t.Fatalf("%d submitted, want %d", n, i)
			}
			go func() { ended <- s.Run() }()
			for counts.Submitted.Load() != uint64(i+1) {
				runtime.Gosched()
			}
			s.Interrupt()
			s.Wake()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			reap(t, r, 1)
		}
	})
}

// TestSubmitterRefused has the kernel refuse: what was queued is still there.
func TestSubmitterRefused(t *testing.T) {
	r := newRing(t, Config{Entries: 64})
	var counts SubmitCounts
	s := NewSubmitter(r, &counts)
	fd := r.enterFD
	r.enterFD = -1
	prepare(t, r, 7, func(e *SQE) { e.PrepNop() })
	r.Flush()
	if err := s.Run(); err != syscall.EBADF {
		t.Errorf("%v, want EBADF", err)
	}
	if r.SQReady() != 1 || counts.Submitted.Load() != 0 || counts.Enters.Load() != 1 {
		t.Errorf("%d entries left, %d submitted by %d calls", r.SQReady(), counts.Submitted.Load(), counts.Enters.Load())
	}
	r.enterFD = fd
	if n, err := r.Submit(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	reap(t, r, 1)
}

// TestSubmitterNeedsNoP has all Ps compute, without a call in which the scheduler could take one away: what is queued
// is submitted nevertheless, at once.
func TestSubmitterNeedsNoP(t *testing.T) {
	if !linked {
		t.Skip("needs one under the race detector, and without links to the runtime")
	}
	r := newRing(t, Config{Entries: 64})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var counts SubmitCounts
	s := NewSubmitter(r, &counts)
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for s.asleep.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if runtime.NumCPU() == 1 {
		t.Skip("needs two processors")
	}
	late := 0
	for i := range 50 {
		prepare(t, r, uint64(i), func(e *SQE) { e.PrepNop() })
		r.Flush()
		s.Wake()
		start := time.Now()
		for counts.Submitted.Load() != uint64(i+1) { // never lets the scheduler in for 10 ms
			if time.Since(start) > 5*time.Millisecond {
				late++
				break
			}
		}
		for counts.Submitted.Load() != uint64(i+1) {
			time.Sleep(time.Millisecond)
		}
		reap(t, r, 1)
	}
	if late > 25 { // the machine may be busy
		t.Errorf("%d of 50 entries were not submitted while the only P computed", late)
	}
	s.Interrupt()
	s.Wake()
	<-ended
}

// BenchmarkSubmitter submits an entry at a time, and waits for its completion.
func BenchmarkSubmitter(b *testing.B) {
	r := newRing(b, Config{Entries: 64})
	var counts SubmitCounts
	s := NewSubmitter(r, &counts)
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	b.ReportAllocs()
	for b.Loop() {
		e := r.GetSQE()
		e.PrepNop()
		r.Flush()
		s.Wake()
		if _, err := r.WaitCQE(); err != nil {
			b.Fatal(err)
		}
		r.AdvanceCQ(1)
	}
	s.Interrupt()
	s.Wake()
	<-ended
}
