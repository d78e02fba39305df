package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/rangestest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// TestMeasureRanges reads scattered blocks from disks that take their time.
//
//	RINGFILE_MEASURE=/tmp go test -run '^TestMeasureRanges$' -count=1 -timeout 1h -v .
func TestMeasureRanges(t *testing.T) {
	measure.Dir(t)
	const size = 48 << 20
	d := newDisk(t, faults.Config{FS: "ext4", Size: 96 << 20, Parallel: true})
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	name := filepath.Join(d.Mount, "file")
	if err := os.WriteFile(name, testutil.PatternBytes(size), 0o644); err != nil {
		t.Fatal(err)
	}
	testutil.Evict(name)
	measure.Header()
	for _, delay := range []time.Duration{100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		for _, length := range []int{4096, 64 << 10} {
			for _, flag := range []int{0, unix.O_DIRECT} {
				plain, err := os.OpenFile(name, flag, 0)
				if err != nil {
					t.Fatal(err)
				}
				f := open(t, e, name, flag)
				b := rangestest.Blocks{Plain: plain, File: f, Size: size, Length: length, N: min(4096, size/length), Loop: 32,
					Prepare: func() error {
						if err := testutil.Evict(name); err != nil {
							return err
						}
						return d.Set(faults.Rule{Effect: faults.Slow, Kind: faults.Read, Delay: delay})
					}}
				kind := map[int]string{0: "cold", unix.O_DIRECT: "O_DIRECT"}[flag]
				measure.Compare(t, fmt.Sprintf("%v, %s, %d KiB", delay, kind, length>>10), b.Sides(e)...)
				f.Close()
				plain.Close()
				set(t, d)
			}
		}
	}
}
