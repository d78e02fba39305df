package uring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNew(t *testing.T) {
	r := newRing(t, Config{Entries: 5})
	if r.SQEntries() != 8 || r.CQEntries() != 16 {
		t.Errorf("sizes: got %d and %d, want 8 and 16", r.SQEntries(), r.CQEntries())
	}
	if !r.Features().Has(neededFeatures | FeatSubmitStable | FeatRWCurPos | FeatFastPoll) {
		t.Errorf("features: got %v", r.Features())
	}
	for flag, since := range map[SetupFlags]string{SetupSubmitAll: "5.18", SetupNoSQArray: "6.6"} {
		if !r.Flags().Has(flag) && kernelAtLeast(t, since) {
			t.Errorf("%v not granted, but Linux %s has it", flag, since)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(r.FD()), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
		t.Errorf("flags of the descriptor: got %d, %v, want close-on-exec", flags, err)
	}
	if r.SQSpaceLeft() != 8 || r.SQReady() != 0 || r.CQReady() != 0 || r.SQDropped() != 0 || r.CQLost() != 0 {
		t.Error("a new ring is not empty")
	}
	maps := ringMaps(t)
	if len(maps) != 2 {
		t.Fatalf("mappings: got %d, want 2", len(maps))
	}
	for _, flags := range maps {
		if !strings.Contains(flags+" ", " dc ") {
			t.Errorf("flags of a mapping: got %q, without MADV_DONTFORK", flags)
		}
	}
	t.Logf("Linux features %v, flags %v", r.Features(), r.Flags())
}

// ringMaps returns the flags of the mappings of rings, from /proc/self/smaps.
func ringMaps(t *testing.T) (flags []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	in := false
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.Contains(line, "anon_inode:[io_uring]"):
			in = true
		case in && strings.HasPrefix(line, "VmFlags:"):
			flags = append(flags, strings.TrimRight(line, "\n"))
			in = false
		}
	}
	return flags
}

func TestNewSizes(t *testing.T) {
	r := newRing(t, Config{Entries: 1})
	if r.SQEntries() != 1 || r.CQEntries() != 2 {
		t.Errorf("one entry: got %d and %d, want 1 and 2", r.SQEntries(), r.CQEntries())
	}
	for range 5 {
		must(t, r, func(e *SQE) { e.PrepNop() })
	}
	r = newRing(t, Config{Entries: 4, CQEntries: 100})
	if r.SQEntries() != 4 || r.CQEntries() != 128 || !r.Flags().Has(SetupCQSize) {
		t.Errorf("100 completions: got %d and %d, want 4 and 128", r.SQEntries(), r.CQEntries())
	}
	for _, c := range []Config{{}, {Entries: 1 << 20}, {Entries: 8, CQEntries: 4}} {
		if _, err := New(c); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%+v: got %v, want %v", c, err, syscall.EINVAL)
		}
	}
	r = newRing(t, Config{Entries: 1 << 20, Flags: SetupClamp})
	if r.SQEntries() != 32768 || r.CQEntries() != 65536 {
		t.Errorf("clamped: got %d and %d, want 32768 and 65536", r.SQEntries(), r.CQEntries())
	}
}

// TestLadder asks for flags that no kernel has, or that do not go together.
func TestLadder(t *testing.T) {
	const unknown SetupFlags = 1 << 30
	for _, tt := range []struct {
		name   string
		flags  SetupFlags
		wanted []SetupFlags
		want   SetupFlags
	}{
		{"none wanted", 0, []SetupFlags{}, 0},
		{"newest unknown", 0, []SetupFlags{SetupCQSize | SetupClamp, unknown}, SetupClamp},
		{"two steps down", SetupClamp, []SetupFlags{0, unknown, unknown << 1}, SetupClamp},
		{"all the way", 0, []SetupFlags{unknown, SetupClamp}, 0},
		{"not with SQPOLL", SetupSQPoll, []SetupFlags{SetupCoopTaskrun}, SetupSQPoll},
	} {
		r, err := tryRing(t, Config{Entries: 4, CQEntries: 8, Flags: tt.flags, Wanted: tt.wanted})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := r.Flags(); got != tt.want|SetupCQSize {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want|SetupCQSize)
		}
		must(t, r, func(e *SQE) { e.PrepNop() })
		r.Close()
	}
	_, err := New(Config{Entries: 4, Flags: unknown})
	var se *os.SyscallError
	if !errors.As(err, &se) || se.Syscall != "io_uring_setup" || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("an unknown flag that must be: got %v", err)
	}
}

// TestPartialFailure has setup fail after the descriptor is there, and looks for what is left.
func TestPartialFailure(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *Params)
		want error
	}{
		{"features missing", func(p *Params) { p.Features = FeatSingleMmap }, errors.ErrUnsupported},
		{"rings too large", func(p *Params) { p.CQEntries = math.MaxUint32 }, syscall.EINVAL},
		{"entries too large", func(p *Params) { p.SQEntries = 1 << 26 }, syscall.EINVAL},
		{"wrong mask", func(p *Params) { p.SQEntries = 8 }, nil},
		{"offset outside", func(p *Params) { p.SQOff.Head = 1 << 30 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Params
			fd, errno := sysSetup(4, &p)
			if errno != 0 {
				t.Skip(errno)
			}
			before := len(ringMaps(t))
			tt.do(&p)
			_, err := newRingFrom(fd, &p)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if after := len(ringMaps(t)); after != before {
				t.Errorf("%d mappings left", after-before)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("the descriptor: got %v, want %v", err, unix.EBADF)
			}
		})
	}
}

func TestClose(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	fd := r.FD()
	must(t, r, func(e *SQE) { e.PrepNop() })
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor: got %v, want %v", err, unix.EBADF)
	}
	if n := len(ringMaps(t)); n != 0 {
		t.Errorf("%d mappings left", n)
	}
	if r.GetSQE() != nil || r.CopyCQEs(make([]CQE, 1)) != 0 || r.FD() != -1 {
		t.Error("a closed ring is not empty")
	}
	if _, err := r.Enter(0, 0, EnterGetEvents); err != syscall.EBADF {
		t.Errorf("Enter: got %v, want %v", err, syscall.EBADF)
	}
	if _, err := r.EnterTimeout(0, 0, 0, 0, new(WaitArg)); err != syscall.EBADF {
		t.Errorf("EnterTimeout: got %v, want %v", err, syscall.EBADF)
	}
	if n, err := r.Submit(); n != 0 || err != nil {
		t.Errorf("Submit: got %d, %v, want 0, nil", n, err)
	}
}

// TestManyRings makes and closes rings, more than the descriptors and the locked memory there are.
func TestManyRings(t *testing.T) {
	for range 200 {
		r, err := tryRing(t, Config{Entries: 64})
		if err != nil {
			t.Fatal(err)
		}
		must(t, r, func(e *SQE) { e.PrepNop() })
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEnter(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	for i := range uint64(3) {
		nop(t, r, i)
	}
	// What is not flushed does not count.
	if n, err := r.Enter(3, 0, 0); n != 0 || err != nil {
		t.Errorf("before Flush: got %d, %v, want 0, nil", n, err)
	}
	if n := r.Flush(); n != 3 {
		t.Errorf("Flush: got %d, want 3", n)
	}
	// Fewer than there are, then both halves in one call, with more than there are.
	if n, err := r.Enter(1, 0, 0); n != 1 || err != nil || r.SQReady() != 2 {
		t.Errorf("one entry: got %d, %v, %d left, want 1, nil, 2", n, err, r.SQReady())
	}
	if n, err := r.Enter(100, 3, EnterGetEvents); n != 2 || err != nil || r.SQReady() != 0 {
		t.Errorf("the others: got %d, %v, %d left, want 2, nil, 0", n, err, r.SQReady())
	}
	if n := r.CQReady(); n != 3 {
		t.Errorf("completions: got %d, want 3", n)
	}
	if _, err := r.Enter(0, 0, 1<<30); err != syscall.EINVAL {
		t.Errorf("unknown flag: got %v, want %v", err, syscall.EINVAL)
	}
	if got := reap(t, r, 3); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	if r.Features().Has(FeatNoIowait) {
		nop(t, r, 7)
		r.Flush()
		if n, err := r.Enter(1, 1, EnterGetEvents|EnterNoIowait); n != 1 || err != nil {
			t.Errorf("with EnterNoIowait: got %d, %v, want 1, nil", n, err)
		}
		reap(t, r, 1)
	}
}

func TestEnterTimeout(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	if !r.Features().Has(FeatExtArg) {
		skipBefore(t, "5.11", FeatExtArg)
	}
	a := new(WaitArg)
	for _, d := range []time.Duration{0, -time.Second, time.Microsecond, 30 * time.Millisecond} {
		start := time.Now()
		_, err := r.EnterTimeout(0, 1, 0, d, a)
		if took := time.Since(start); err != syscall.ETIME || took < d || took > 5*time.Second {
			t.Errorf("%v: got %v after %v, want %v", d, err, took, syscall.ETIME)
		}
	}
	nop(t, r, 1)
	r.Flush()
	if n, err := r.EnterTimeout(1, 1, 0, time.Minute, a); n != 1 || err != nil {
		t.Errorf("submit and wait: got %d, %v, want 1, nil", n, err)
	}
	if !r.Features().Has(FeatMinTimeout) {
		return
	}
	// One completion is there and three are wanted: the shorter wait ends it.
	a.MinWait = 10 * time.Millisecond
	start := time.Now()
	if _, err := r.EnterTimeout(0, 3, 0, time.Minute, a); err != nil && err != syscall.ETIME {
		t.Error("MinWait:", err)
	}
	if took := time.Since(start); took < 5*time.Millisecond || took > 20*time.Second {
		t.Errorf("MinWait of 10ms took %v", took)
	}
}

// TestConcurrentWaiters has several goroutines wait at once, each with its own WaitArg, while another
// one submits.
func TestConcurrentWaiters(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		wg.Go(func() {
			a := new(WaitArg)
			for !stop.Load() {
				_, err := r.EnterTimeout(0, 1, 0, 2*time.Millisecond, a)
				if err != nil && err != syscall.ETIME && err != syscall.EINTR {
					t.Error(err)
					return
				}
				yield()
			}
		})
	}
	for i := range 50 {
		must(t, r, func(e *SQE) { e.PrepNop(); e.SetUserData(uint64(i)) })
	}
	stop.Store(true)
	wg.Wait()
}

func TestWaitTimeout(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	start := time.Now()
	if c, err := r.WaitCQEs(1, 20*time.Millisecond); c != nil || !errors.Is(err, syscall.ETIME) {
		t.Errorf("got %v, %v, want nil, %v", c, err, syscall.ETIME)
	}
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("a wait of 20ms took %v", d)
	}
	nop(t, r, 3)
	if n, err := r.SubmitAndWaitTimeout(1, time.Minute); n != 1 || err != nil {
		t.Errorf("SubmitAndWaitTimeout = %d, %v", n, err)
	}
	if c, err := r.WaitCQEs(1, time.Minute); err != nil || c == nil || c.UserData != 3 {
		t.Errorf("got %v, %v, want completion 3", c, err)
	}
	r.AdvanceCQ(1)
	nop(t, r, 4)
	if _, err := r.Submit(); err != nil {
		t.Error(err)
	}
	if c, err := r.WaitCQE(); err != nil || c.UserData != 4 {
		t.Errorf("got %v, %v, want completion 4", c, err)
	}
	r.AdvanceCQ(1)
}

// TestSignalsWhileWaiting sends signals to a thread that waits.
func TestSignalsWhileWaiting(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	pr, pw := tempPipe(t)
	buf := make([]byte, 1)
	prepare(t, r, 1, func(e *SQE) { e.PrepRead(pr, buf, OffCurrent) })
	tid := make(chan int)
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		_, err := r.SubmitAndWait(1)
		done <- err
	}()
	id := <-tid
	for range 20 {
		if err := unix.Tgkill(unix.Getpid(), id, unix.SIGURG); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatal("the wait ended before its time:", err)
	default:
	}
	unix.Write(pw, []byte("x"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := r.PeekCQE(); err != nil || c == nil || c.Res != 1 {
		t.Errorf("got %v, %v, want one byte", c, err)
	}
	r.AdvanceCQ(1)
}

// TestOverflow has more completions than the queue holds.
func TestOverflow(t *testing.T) {
	r := newRing(t, Config{Entries: 4, CQEntries: 4})
	const total = 12
	for i := range uint64(total) {
		nop(t, r, i)
		if n, err := r.Submit(); n != 1 || err != nil {
			t.Fatalf("Submit %d: got %d, %v, want 1, nil", i, n, err)
		}
	}
	if !r.CQOverflow() || r.CQReady() != 4 {
		t.Fatalf("overflow %v, %d ready, want true, 4", r.CQOverflow(), r.CQReady())
	}
	// Without an enter there are just those in the queue.
	buf := make([]CQE, total)
	if n := r.CopyCQEs(buf); n != 4 {
		t.Errorf("CopyCQEs: got %d, want 4", n)
	}
	got := buf[:4]
	// PeekCQE sees the flag.
	for len(got) < total {
		c, err := r.PeekCQE()
		if err != nil || c == nil {
			t.Fatalf("after %d: got %v, %v", len(got), c, err)
		}
		got = append(got, *c)
		r.CQESeen(c)
	}
	for i, c := range got {
		if c.UserData != uint64(i) {
			t.Errorf("completion %d: got %d", i, c.UserData)
		}
	}
	if c, err := r.PeekCQE(); r.CQOverflow() || c != nil || err != nil || r.CQLost() != 0 {
		t.Errorf("at the end: overflow %v, %v, %v, %d lost", r.CQOverflow(), c, err, r.CQLost())
	}

	// WaitCQE sees it as well.
	for i := range uint64(6) {
		nop(t, r, i)
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(6) {
		c, err := r.WaitCQE()
		if err != nil || c.UserData != i {
			t.Fatalf("got %v, %v, want %d", c, err, i)
		}
		r.CQESeen(c)
	}
}

// TestSubmitAll checks that entries after a bad one are not forgotten.
func TestSubmitAll(t *testing.T) {
	for _, wanted := range [][]SetupFlags{{}, {SetupSubmitAll}} {
		r := newRing(t, Config{Entries: 8, Wanted: wanted})
		prepare(t, r, 0, func(e *SQE) { e.PrepNop() })
		prepare(t, r, 1, func(e *SQE) { e.PrepNop(); e.Opcode = 250 })
		prepare(t, r, 2, func(e *SQE) { e.PrepNop() })
		if n, err := r.Submit(); n != 3 || err != nil {
			t.Errorf("%v: Submit: got %d, %v, want 3, nil", wanted, n, err)
		}
		got := reap(t, r, 3)
		if got[0].Res != 0 || got[1].Res != -int32(syscall.EINVAL) || got[2].Res != 0 {
			t.Errorf("%v: got %v", wanted, got)
		}
	}
}

// TestWrap goes round both queues often, in steps that do not divide their sizes.
func TestWrap(t *testing.T) {
	eachRing(t, func(t *testing.T, r *Ring) {
		next := uint64(0)
		for range 300 {
			first := next
			for range 7 {
				nop(t, r, next)
				next++
			}
			got := reap(t, r, 7)
			for u := first; u < next; u++ {
				if _, ok := got[u]; !ok {
					t.Fatalf("no completion %d", u)
				}
			}
		}
	})
}

// TestHalves drives the two halves of a ring from two goroutines, and looks on from a third.
func TestHalves(t *testing.T) {
	const total = 5000
	r := newRing(t, Config{Entries: 16})
	_, fd := tempFile(t, []byte(strings.Repeat("x", 4096)))
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 16)
	}
	slots := make(chan struct{}, r.CQEntries()) // no overflow
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	submit := func() {
		for n := r.Flush(); n > 0 && ctx.Err() == nil; n = r.SQReady() {
			if _, err := r.Enter(n, 0, 0); err != nil && err != syscall.EINTR {
				t.Error(err)
				cancel()
			}
		}
	}
	wg.Go(func() {
		for i := uint64(0); i < total; i++ {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			e := r.GetSQE()
			if e == nil {
				submit()
				if e = r.GetSQE(); e == nil {
					return // canceled
				}
			}
			e.PrepRead(fd, bufs[i%64], i%4096)
			e.SetUserData(i)
			if i%5 == 4 || len(slots) == cap(slots) || i == total-1 {
				submit()
			}
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			if sq, cq := r.SQReady(), r.CQReady(); sq > 16 || cq > 32 || r.CQOverflow() || r.NeedWakeup() {
				t.Errorf("%d and %d ready of 16 and 32", sq, cq)
			}
			time.Sleep(100 * time.Microsecond)
		}
	})
	seen := make([]bool, total)
	buf := make([]CQE, 8)
	for n := 0; n < total; {
		k := r.CopyCQEs(buf)
		for _, c := range buf[:k] {
			if c.Res < 1 || seen[c.UserData] {
				t.Errorf("completion %+v, seen before: %v", c, seen[c.UserData])
			}
			seen[c.UserData] = true
			<-slots
		}
		if n += k; k > 0 {
			continue
		}
		if ctx.Err() != nil {
			t.Fatalf("stuck after %d completions", n)
		}
		_, err := r.EnterTimeout(0, 1, 0, 10*time.Millisecond, r.waitArg)
		if err != nil && err != syscall.EINTR && err != syscall.ETIME {
			t.Fatal(err)
		}
	}
}

func TestSQPoll(t *testing.T) {
	r := newRing(t, Config{Entries: 4, Flags: SetupSQPoll, SQThreadIdleMS: 1})
	_, fd := tempFile(t, []byte("polled"))
	for range 3 {
		// Once its idle time has passed, the thread sleeps, and must be woken.
		for deadline := time.Now().Add(10 * time.Second); !r.NeedWakeup(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the thread does not go to sleep")
			}
		}
		buf := make([]byte, 6)
		if must(t, r, func(e *SQE) { e.PrepRead(fd, buf, 0) }); string(buf) != "polled" {
			t.Errorf("got %q", buf)
		}
	}
	// More than the queue holds, without ever waiting for completions but by looking.
	got := 0
	cqes := make([]CQE, 8)
	for sent := 0; got < 500; {
		for sent < 500 && sent-got < 8 {
			e := r.GetSQE()
			if e == nil {
				if err := r.WaitSQ(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			e.PrepNop()
			sent++
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		got += r.CopyCQEs(cqes)
		yield()
	}
	// On one CPU, and without a wakeup for a thread that is awake.
	c := Config{Entries: 4, Flags: SetupSQPoll | SetupSQAff, SQThreadCPU: firstCPU(t)}
	must(t, newRing(t, c), func(e *SQE) { e.PrepNop() })
}

func firstCPU(t *testing.T) uint32 {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			return uint32(cpu)
		}
	}
	return 0
}

// TestIOPoll polls for completions. Not every device can: then the read fails with EOPNOTSUPP. A
// buffered one and a sync always do.
func TestIOPoll(t *testing.T) {
	for _, flags := range []SetupFlags{SetupIOPoll, SetupIOPoll | SetupSQPoll, SetupIOPoll | SetupHybridIOPoll} {
		t.Run(flags.String(), func(t *testing.T) {
			r, err := tryRing(t, Config{Entries: 8, Flags: flags})
			if errors.Is(err, syscall.EINVAL) && flags.Has(SetupHybridIOPoll) {
				skipBefore(t, "6.13", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			path, buffered := tempFile(t, pattern(65536))
			if err := unix.Fsync(buffered); err != nil {
				t.Fatal(err)
			}
			mem := mapBuffer(t, 16384)
			mustFail(t, r, syscall.EOPNOTSUPP, func(e *SQE) { e.PrepRead(buffered, mem, 0) })
			mustFail(t, r, syscall.EINVAL, func(e *SQE) { e.PrepFsync(buffered, 0) })

			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Skip("no O_DIRECT here:", err)
			}
			defer unix.Close(fd)
			for i := range 4 {
				prepare(t, r, uint64(i), func(e *SQE) { e.PrepRead(fd, mem[i*4096:][:4096], uint64(i)*8192) })
			}
			if n, err := r.SubmitAndWait(4); n != 4 || err != nil {
				t.Errorf("SubmitAndWait: got %d, %v, want 4, nil", n, err)
			}
			for i, c := range reap(t, r, 4) {
				if c.Err() == syscall.EOPNOTSUPP && os.Getenv("KM_GUEST") == "" {
					continue // in the virtual machines of the kernel matrix, the disk can poll
				}
				if c.Res != 4096 || string(mem[i*4096:][:4096]) != string(pattern(65536)[i*8192:][:4096]) {
					t.Errorf("read %d: got %d (%v), or wrong bytes", i, c.Res, c.Err())
				}
			}
		})
	}
}

// TestSingleIssuer enters a ring from another thread than its own.
func TestSingleIssuer(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := tryRing(t, Config{Entries: 4, Flags: SetupSingleIssuer | SetupDeferTaskrun | SetupRDisabled})
	if errors.Is(err, syscall.EINVAL) {
		skipBefore(t, "6.1", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.EnableRings(); err != nil { // this thread it is
		t.Fatal(err)
	}
	must(t, r, func(e *SQE) { e.PrepNop() })
	nop(t, r, 1)
	r.Flush()
	errc := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, err := r.Enter(1, 0, 0)
		errc <- err
	}()
	if err := <-errc; err != syscall.EEXIST {
		t.Errorf("Enter from another thread: got %v, want %v", err, syscall.EEXIST)
	}
	if _, ok := reap(t, r, 1)[1]; !ok {
		t.Error("the entry is gone")
	}
}

func TestAttachWQ(t *testing.T) {
	first := newRing(t, Config{Entries: 4})
	second := newRing(t, Config{Entries: 4, Flags: SetupAttachWQ, AttachFD: first.FD()})
	must(t, second, func(e *SQE) { e.PrepNop(); e.SetFlags(SQEAsync) })
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := New(Config{Entries: 4, Flags: SetupAttachWQ, AttachFD: int(f.Fd())}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("attached to what is no ring: got %v, want %v", err, syscall.EINVAL)
	}
}

// TestHotPathAllocs checks that what runs for each operation does not allocate.
func TestHotPathAllocs(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	_, fd := tempFile(t, pattern(4096))
	buf := make([]byte, 512)
	cqes := make([]CQE, 8)
	a := new(WaitArg)
	var st unix.Statx_t
	path := cstr("/")
	iovs := []unix.Iovec{unixIovec(buf)}
	for name, f := range map[string]func(){
		"enter": func() {
			r.GetSQE().PrepRead(fd, buf, 0)
			if n, err := r.Enter(r.Flush(), 1, EnterGetEvents); n != 1 || err != nil {
				t.Error(n, err)
			}
			if n := r.CopyCQEs(cqes); n != 1 || cqes[0].Res != 512 {
				t.Error(n, cqes[0])
			}
		},
		"timed": func() {
			r.GetSQE().PrepReadv(fd, iovs, 0, 0)
			if n, err := r.EnterTimeout(r.Flush(), 1, 0, time.Second, a); n != 1 || err != nil {
				t.Error(n, err)
			}
			r.CopyCQEs(cqes)
		},
		"convenient": func() {
			r.GetSQE().PrepStatx(unix.AT_FDCWD, path, 0, unix.STATX_SIZE, &st)
			if n, err := r.SubmitAndWait(1); n != 1 || err != nil {
				t.Error(n, err)
			}
			c, err := r.WaitCQE()
			if err != nil || c.Res != 0 {
				t.Error(c, err)
			}
			r.CQESeen(c)
		},
		"errors": func() {
			if _, err := r.EnterTimeout(0, 1, 0, 0, a); err != syscall.ETIME {
				t.Error(err)
			}
			if _, err := r.Enter(0, 0, 1<<30); err != syscall.EINVAL {
				t.Error(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// TestEnterHook checks that a hook on a real ring can fail an enter and let another one pass.
func TestEnterHook(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	var calls []string
	fail := syscall.EAGAIN
	r.SetEnterHook(func(toSubmit, minComplete uint32, flags EnterFlags) (int, syscall.Errno, bool) {
		calls = append(calls, fmt.Sprint(toSubmit, minComplete, flags))
		return 0, fail, fail != 0
	})
	nop(t, r, 1)
	if n, err := r.SubmitAndWait(1); n != 0 || !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("got %d, %v, want 0, %v", n, err, syscall.EAGAIN)
	}
	fail = 0
	if n, err := r.SubmitAndWait(1); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1, nil", n, err)
	}
	r.SetEnterHook(nil)
	reap(t, r, 1)
	if want := "[1 1 GETEVENTS 1 1 GETEVENTS]"; fmt.Sprint(calls) != want {
		t.Errorf("calls: got %v, want %v", calls, want)
	}
}

func BenchmarkNop(b *testing.B) {
	for _, batch := range []uint32{1, 8} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := newRing(b, Config{Entries: 8})
			cqes := make([]CQE, 8)
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					r.GetSQE().PrepNop()
				}
				r.Flush()
				if _, err := r.Enter(batch, batch, EnterGetEvents); err != nil {
					b.Fatal(err)
				}
				r.CopyCQEs(cqes)
			}
		})
	}
}

// TestWaitBesideSubmit has one goroutine submit and another wait.
func TestWaitBesideSubmit(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	const n = 1000
	submitted := make(chan error, 1)
	go func() {
		for i := range n {
			e := r.GetSQE()
			e.PrepNop()
			e.SetUserData(uint64(i))
			if _, err := r.Submit(); err != nil {
				submitted <- err
				return
			}
			if i%16 == 15 { // or completions overflow, and their order is the kernel's
				for r.CQReady() > 4 {
					runtime.Gosched()
				}
			}
		}
		submitted <- nil
	}()
	for i := range uint64(n) {
		c, err := r.WaitCQEs(1, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if c.UserData != i {
			t.Errorf("completion %d, want %d", c.UserData, i)
		}
		r.CQESeen(c)
	}
	if err := <-submitted; err != nil {
		t.Error(err)
	}
}
