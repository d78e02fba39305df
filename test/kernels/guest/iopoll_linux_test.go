package guest

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/kernels/plan"
	"github.com/ringfile/ringfile/uring"
)

// TestIOPoll reads and writes by polling, on the disk and in files on it, checks the data and counts
// the disk's interrupts: without polling there must be one for each request that is alone, with it
// next to none.
func TestIOPoll(t *testing.T) {
	needGuest(t)
	const defer_ = uring.SetupSingleIssuer | uring.SetupDeferTaskrun
	for _, target := range []string{plan.RawDisk, plan.Ext4 + "/polled", plan.XFS + "/polled"} {
		for _, flags := range []uring.SetupFlags{0, uring.SetupIOPoll, uring.SetupIOPoll | uring.SetupSQPoll,
			uring.SetupIOPoll | uring.SetupHybridIOPoll, uring.SetupIOPoll | defer_} {
			t.Run(strings.Trim(target, "/")+"/"+flags.String(), func(t *testing.T) {
				defer testutil.Watchdog(t, time.Minute)()
				testPolled(t, target, flags)
			})
		}
	}
}

const (
	block  = 4096
	blocks = 200
	batch  = 8
)

func testPolled(t *testing.T, target string, flags uring.SetupFlags) {
	fd := openPattern(t, target)
	// Rings with SINGLE_ISSUER answer one thread only.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := uring.New(uring.Config{Entries: 2 * batch, Flags: flags})
	if errors.Is(err, syscall.EINVAL) {
		t.Skipf("this kernel makes no such ring: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mem, err := unix.Mmap(-1, 0, batch*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)

	before := interrupts(t)
	for i := range blocks {
		transfer(t, r, 1, func(e *uring.SQE, _ int) { e.PrepRead(fd, mem[:block], uint64(i*block)) })
		if at := testutil.CheckPattern(mem[:block], int64(i*block)); at >= 0 {
			t.Fatalf("block %d differs at %d", i, at)
		}
	}
	alone := interrupts(t) - before
	for i := 0; i < blocks; i += batch {
		transfer(t, r, batch, func(e *uring.SQE, k int) {
			e.PrepRead(fd, mem[k*block:][:block], uint64((i+k)*block))
		})
		if at := testutil.CheckPattern(mem, int64(i*block)); at >= 0 {
			t.Fatalf("eight blocks from %d differ at %d", i, at)
		}
	}
	// Other data than were there.
	testutil.Pattern(mem, 12345*8)
	transfer(t, r, batch, func(e *uring.SQE, k int) {
		e.PrepWrite(fd, mem[k*block:][:block], uint64(k*block))
	})
	all := interrupts(t) - before
	clear(mem)
	if n, err := unix.Pread(fd, mem, 0); n != len(mem) || err != nil || testutil.CheckPattern(mem, 12345*8) >= 0 {
		t.Errorf("read back: %d, %v, or other data than written", n, err)
	}
	t.Logf("%d interrupts for %d reads alone, %d with those in eights and the writes", alone, blocks, all)
	if !flags.Has(uring.SetupIOPoll) {
		if alone < blocks {
			t.Errorf("without polling: %d interrupts for %d reads; they are not what is counted", alone, blocks)
		}
		return
	}
	if all > 10 {
		t.Errorf("polling: %d interrupts", all)
	}
	// What polling rings refuse.
	if res := one(t, r, func(e *uring.SQE, _ int) { e.PrepFsync(fd, 0) }); res != -int32(syscall.EINVAL) {
		t.Errorf("fsync: %d, want %v", res, syscall.EINVAL)
	}
}

// openPattern opens target for direct transfers and writes the pattern to it.
func openPattern(t *testing.T, target string) int {
	t.Helper()
	f, err := os.OpenFile(target, os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	mem, err := unix.Mmap(-1, 0, blocks*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	testutil.Pattern(mem, 0)
	if _, err := f.WriteAt(mem, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return int(f.Fd())
}

// transfer runs n whole blocks at once.
func transfer(t *testing.T, r *uring.Ring, n int, prep func(e *uring.SQE, k int)) {
	t.Helper()
	for _, res := range submit(t, r, n, prep) {
		if res != block {
			t.Fatalf("result %d, want %d", res, block)
		}
	}
}

func one(t *testing.T, r *uring.Ring, prep func(e *uring.SQE, k int)) int32 {
	t.Helper()
	return submit(t, r, 1, prep)[0]
}

// submit runs n operations at once and returns their results.
func submit(t *testing.T, r *uring.Ring, n int, prep func(e *uring.SQE, k int)) []int32 {
	t.Helper()
	for k := range n {
		e := r.GetSQE()
		prep(e, k)
		e.SetUserData(uint64(k))
	}
	if got, err := r.Submit(); got != n || err != nil {
		t.Fatalf("Submit: %d, %v, want %d", got, err, n)
	}
	results := make([]int32, n)
	for range n {
		c, err := r.WaitCQE()
		if err != nil {
			t.Fatal("WaitCQE:", err)
		}
		results[c.UserData] = c.Res
		r.CQESeen(c)
	}
	return results
}

// interrupts returns how many the NVMe controller has raised.
func interrupts(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/interrupts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "nvme") {
			continue
		}
		for _, word := range strings.Fields(line)[1:] {
			k, err := strconv.Atoi(word)
			if err != nil {
				break
			}
			n += k
		}
	}
	return n
}
