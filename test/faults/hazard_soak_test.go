package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// soakEnv asks for TestHazardSoak, and says how long it is to last: a duration, or 1 for ten seconds. The
// flag -soak does the same: go test -run TestHazardSoak -timeout 2h -soak 1h .
const soakEnv = "RINGFILE_SOAK"

var soakFlag = flag.Duration("soak", 0, "how long TestHazardSoak lasts, half of it on os.File; 0 skips it")

func soakTime(t *testing.T) time.Duration {
	switch s := os.Getenv(soakEnv); {
	case *soakFlag > 0:
		return *soakFlag
	case s == "":
		t.Skipf("set %s or -soak to have this run", soakEnv)
		return 0
	case s == "1":
		return 10 * time.Second
	default:
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
		return d
	}
}

// soakCall is a kind of call as os.File has it, and as ringfile has it: plain and promised.
type soakCall struct {
	name     string
	direct   bool
	os       func(f *os.File, p []byte, off int64) error
	plain    func(f *ringfile.File, p []byte, off int64) error
	promised func(f *ringfile.File, p []byte, off int64) error
}

var soakCalls = []soakCall{
	{"direct read", true,
		func(f *os.File, p []byte, off int64) error { return plainly(f.ReadAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error { return plainly(f.ReadAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error {
			return inTime(func(ctx context.Context) error { return plainly(f.ReadAtContext(ctx, p, off)) })
		}},
	{"buffered read", false,
		func(f *os.File, p []byte, off int64) error { return plainly(f.ReadAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error { return plainly(f.ReadAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error {
			return inTime(func(ctx context.Context) error { return plainly(f.ReadAtContext(ctx, p, off)) })
		}},
	{"direct write", true,
		func(f *os.File, p []byte, off int64) error { return plainly(f.WriteAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error { return plainly(f.WriteAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error {
			return inTime(func(ctx context.Context) error { return plainly(f.WriteAtContext(ctx, p, off)) })
		}},
	{"buffered write", false,
		func(f *os.File, p []byte, off int64) error { return plainly(f.WriteAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error { return plainly(f.WriteAt(p, off)) },
		func(f *ringfile.File, p []byte, off int64) error { return plainly(f.StartWriteAt(p, off).Await()) }},
	{"sync", false,
		func(f *os.File, _ []byte, _ int64) error { return f.Sync() },
		func(f *ringfile.File, _ []byte, _ int64) error { return f.Sync() },
		func(f *ringfile.File, _ []byte, _ int64) error {
			return inTime(func(ctx context.Context) error { return f.SyncContext(ctx) })
		}},
	{"open and close", false,
		func(f *os.File, _ []byte, _ int64) error {
			g, err := os.Open(f.Name())
			if err != nil {
				return err
			}
			return g.Close()
		},
		func(f *ringfile.File, _ []byte, _ int64) error {
			g, err := f.Engine().Open(f.Name())
			if err != nil {
				return err
			}
			return g.Close()
		}, nil},
}

// TestHazardSoak: a disk that works, and 1,024 goroutines that make plain and promised calls of all kinds.
// The longest wait for each kind is not longer than that of os.File under the same load.
func TestHazardSoak(t *testing.T) {
	length := soakTime(t)
	const goroutines, files, size = 1024, 16, 4 << 20
	d := newDisk(t, faults.Config{FS: "ext4", Size: 256 << 20, Sound: true})
	var names [files][2]string // buffered, and direct: the kernel fails the syncs of files that are both
	for i := range names {
		for j := range names[i] {
			names[i][j] = makeFile(t, d.Mount, fmt.Sprint("soak", i, j), size)
		}
	}
	for _, kind := range engineKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", kind.backend.String())
			var c ringfile.Config
			if kind.sqpoll {
				c.SQPoll = &ringfile.SQPollConfig{}
			}
			e, err := ringfile.New(c)
			if err != nil {
				t.Skipf("no %s engine: %v", kind.name, err)
			}
			defer e.Close()
			defer watchStats(t, e)()
			of, rf := make([][2]*os.File, files), make([][2]*ringfile.File, files)
			for i := range names {
				for j, flag := range []int{0, unix.O_DIRECT} {
					name := names[i][j]
					if of[i][j], err = os.OpenFile(name, os.O_RDWR|flag, 0); err != nil {
						t.Fatal(err)
					}
					defer of[i][j].Close()
					rf[i][j] = open(t, e, name, flag)
					defer rf[i][j].Close()
				}
			}
			which := func(c soakCall) int {
				if c.direct {
					return 1
				}
				return 0
			}
			// Turns of a few seconds each, so that both meet the same machine.
			turn := min(length/2, 10*time.Second)
			osLongest, ourLongest := make([]longest, len(soakCalls)), make([]longest, len(soakCalls))
			for spent := time.Duration(0); spent < length; spent += 2 * turn {
				soak(t, goroutines, turn, osLongest, func(c soakCall, _ bool, file int, p []byte, off int64) error {
					return c.os(of[file%files][which(c)], p, off)
				})
				soak(t, goroutines, turn, ourLongest, func(c soakCall, promised bool, file int, p []byte, off int64) error {
					do := c.plain
					if promised && c.promised != nil {
						do = c.promised
					}
					return do(rf[file%files][which(c)], p, off)
				})
			}
			for i, c := range soakCalls {
				os := osLongest[i].worst()
				t.Logf("%s: the longest wait of %d calls of os.File %v; of %d plain ones %v, of %d promised ones %v", c.name,
					osLongest[i].calls[0]+osLongest[i].calls[1], os, ourLongest[i].calls[0], ourLongest[i].took[0],
					ourLongest[i].calls[1], ourLongest[i].took[1])
				// One sample of the tail against another: twice as long is luck.
				if got := ourLongest[i].worst(); got > 2*os+200*time.Millisecond {
					t.Errorf("%s: the longest wait is %v, that of os.File under the same load %v", c.name, got, os)
				}
			}
		})
	}
}

// longest is the longest wait for calls of one kind, plain and promised.
type longest struct {
	took  [2]time.Duration
	calls [2]int
}

func (l *longest) worst() time.Duration { return slices.Max(l.took[:]) }

// soak makes calls from n goroutines for a while.
func soak(t *testing.T, n int, length time.Duration, all []longest,
	do func(c soakCall, promised bool, file int, p []byte, off int64) error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	buffers := aligned(t, n*blockSize)
	end := time.Now().Add(length)
	for i := range n {
		p := buffers[i*blockSize : (i+1)*blockSize]
		wg.Go(func() {
			mine := make([]longest, len(soakCalls))
			for time.Now().Before(end) {
				k, promised := rand.IntN(len(soakCalls)), rand.IntN(2)
				start := time.Now()
				if err := do(soakCalls[k], promised == 1, rand.IntN(1<<16), p, rand.Int64N(1024)*blockSize); err != nil {
					t.Errorf("%s: %v", soakCalls[k].name, err)
					return
				}
				mine[k].took[promised] = max(mine[k].took[promised], time.Since(start))
				mine[k].calls[promised]++
				time.Sleep(rand.N(20 * time.Millisecond))
			}
			mu.Lock()
			defer mu.Unlock()
			for k := range mine {
				for j := range 2 {
					all[k].took[j] = max(all[k].took[j], mine[k].took[j])
					all[k].calls[j] += mine[k].calls[j]
				}
			}
		})
	}
	wg.Wait()
	if err := unix.Munmap(buffers); err != nil {
		t.Error(err)
	}
}
