package faults_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// TestDisk checks the disk itself, by system calls.
func TestDisk(t *testing.T) {
	defer testutil.Watchdog(t, time.Minute)()
	d := newDisk(t, faults.Config{})
	f, err := os.OpenFile(d.Device, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 10
	if _, err := f.WriteAt(patterned(t, size, 0), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}

	t.Run("fail", func(t *testing.T) {
		defer set(t, d)
		set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Read, From: 8192, To: 12288})
		p := aligned(t, 4096)
		for _, off := range []int64{4096, 8192, 12288} {
			_, err := f.ReadAt(p, off)
			if failed := errors.Is(err, unix.EIO); failed != (off == 8192) {
				t.Errorf("at %d: %v", off, err)
			}
		}
		set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Flush, Skip: 1, Count: 1})
		for i := range 3 {
			if err := f.Sync(); errors.Is(err, unix.EIO) != (i == 1) {
				t.Errorf("flush %d: %v", i, err)
			}
		}
	})
	t.Run("hang", func(t *testing.T) {
		defer set(t, d)
		set(t, d, faults.Rule{Effect: faults.Hang, Kind: faults.Read})
		done := make(chan error, 1)
		p := aligned(t, size)
		go func() {
			_, err := f.ReadAt(p, 0)
			done <- err
		}()
		await(func() bool { return counts(t, d).Hanging == 1 })
		select {
		case err := <-done:
			t.Errorf("a read did not hang: %v", err)
		default:
		}
		set(t, d)
		if err := <-done; err != nil || testutil.CheckPattern(p, 0) >= 0 {
			t.Errorf("after the hang: %v, first difference at %d", err, testutil.CheckPattern(p, 0))
		}
	})
	t.Run("hang for a while", func(t *testing.T) {
		defer set(t, d)
		set(t, d, faults.Rule{Effect: faults.Hang, Delay: 50 * time.Millisecond})
		for i := range 2 { // the second finds no rule
			start := time.Now()
			_, err := f.ReadAt(aligned(t, 4096), 0)
			if hung := time.Since(start) >= 40*time.Millisecond; err != nil || hung != (i == 0) {
				t.Errorf("read %d: %v after %v", i, err, time.Since(start))
			}
		}
	})
	t.Run("slow", func(t *testing.T) {
		defer set(t, d)
		set(t, d, faults.Rule{Effect: faults.Slow, Delay: 50 * time.Millisecond})
		start := time.Now()
		if _, err := f.ReadAt(aligned(t, 4096), 0); err != nil || time.Since(start) < 50*time.Millisecond {
			t.Errorf("slow read: %v after %v", err, time.Since(start))
		}
	})
	t.Run("log", func(t *testing.T) {
		if err := d.Mark(7); err != nil {
			t.Fatal(err)
		}
		log, err := d.Log()
		if err != nil {
			t.Fatal(err)
		}
		var got []faults.Kind
		for _, e := range log {
			switch {
			case e.Kind == faults.Flush && len(got) == 0: // of the loop device, when it is made
			case e.Kind == faults.Write && len(got) == 1: // of a transfer in several requests
			default:
				got = append(got, e.Kind)
			}
			if e.Kind == faults.Write && testutil.CheckPattern(e.Data, e.Off) >= 0 {
				t.Errorf("write at %d has other data", e.Off)
			}
		}
		want := []faults.Kind{faults.Write, faults.Flush, faults.Flush, faults.Flush, faults.Mark}
		if !slices.Equal(got, want) || log[len(log)-1].Mark != 7 {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestDiskFileSystems checks that file systems work on the disk, and that data can be found on it.
func TestDiskFileSystems(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		defer testutil.Watchdog(t, time.Minute)()
		f, err := os.Create(filepath.Join(d.Mount, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := []byte("a needle in a disk that is full of hay")
		if _, err := f.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if off, err := d.Find(want); err != nil || off == 0 {
			t.Errorf("got %d, %v", off, err)
		}
	})
}
