package faults_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

func TestMain(m *testing.M) {
	faults.ServeIfAsked()
	if os.Getenv(orphanEnv) != "" {
		orphan()
	}
	faults.Sweep()
	os.Exit(m.Run())
}

// newDisk makes a disk for the test. Without root there are none, which CI does not accept.
func newDisk(t *testing.T, c faults.Config) *faults.Disk {
	t.Helper()
	if err := faults.Possible(); err != nil {
		if os.Getenv("CI") == "true" && os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	d, err := faults.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Disk.Close: %v", err)
		}
	})
	return d
}

// routes runs test on an engine of each backend that there is, which test closes or leaves to routes.
func routes(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	t.Helper()
	routesWithin(t, 2*time.Minute, c, test)
}

// routesWithin is routes for a test that may take longer.
func routesWithin(t *testing.T, limit time.Duration, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	t.Helper()
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := ringfile.New(c)
			if err != nil {
				t.Skipf("no %s backend: %v", b, err)
			}
			defer testutil.Watchdog(t, limit)()
			test(t, e)
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
			s := e.Stats()
			if s.InFlight != 0 || s.Unknown != 0 || s.Broken != 0 || s.BlockingCalls != 0 {
				t.Errorf("left behind or lost: %+v", s)
			}
		})
	}
}

// set replaces the disk's rules.
func set(t *testing.T, d *faults.Disk, rules ...faults.Rule) {
	t.Helper()
	if err := d.Set(rules...); err != nil {
		t.Fatal(err)
	}
}

// counts returns what the disk has seen.
func counts(t *testing.T, d *faults.Disk) faults.Counts {
	t.Helper()
	c, err := d.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await waits until cond holds; the watchdog ends what never does.
func await(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}

// aligned returns a buffer that O_DIRECT takes.
func aligned(t *testing.T, n int) []byte {
	t.Helper()
	p, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	return p // never unmapped: the kernel may use it for longer than a test that has failed
}

// patterned returns an aligned buffer with the pattern that belongs at off.
func patterned(t *testing.T, n int, off int64) []byte {
	p := aligned(t, n)
	testutil.Pattern(p, off)
	return p
}

// dropCache makes the next buffered read of the file go to the disk.
func dropCache(t *testing.T, f *ringfile.File) {
	t.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

func fileSystems(t *testing.T, test func(t *testing.T, d *faults.Disk)) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) { test(t, newDisk(t, faults.Config{FS: fs})) })
	}
}
