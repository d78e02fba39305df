package raftwal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/adapters/raftwal"
	"github.com/ringfile/ringfile/internal/upstream"
)

// TestFS: what raft-wal's own tests leave open.
func TestFS(t *testing.T) {
	upstream.Backends(t, func(t *testing.T) {
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s, dir := raftwal.On(e), t.TempDir()

		f, err := s.Create(dir, "b", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if info, err := os.Stat(filepath.Join(dir, "b")); err != nil || info.Size() != 1<<20 {
			t.Errorf("a new file: %v, %v", info, err)
		}
		if _, err := f.WriteAt([]byte("data"), 0); err != nil {
			t.Error(err)
		}
		// The first Sync is two, with that of the directory, and so is that of a file which is opened again.
		again, err := s.OpenWriter(dir, "b")
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		for _, sync := range []func() error{f.Sync, again.Sync} {
			for _, want := range []uint64{2, 1} {
				before := e.Stats().Syncs
				if err := sync(); err != nil || e.Stats().Syncs-before != want {
					t.Errorf("Sync: %v, %d syncs, want %d", err, e.Stats().Syncs-before, want)
				}
			}
		}
		if _, err := s.Create(dir, "b", 0); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create of what is there: %v", err)
		}
		if _, err := s.Create(dir, "c", math.MaxInt32+1); err == nil {
			t.Error("Create of more than a segment may have succeeds")
		}
		a, err := s.Create(dir, "a", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if names, err := s.ListDir(dir); !slices.Equal(names, []string{"a", "b"}) || err != nil {
			t.Errorf("ListDir: %q, %v", names, err)
		}
		if err := s.Delete(dir, "a"); err != nil {
			t.Error("Delete:", err)
		}
		_, reader := s.OpenReader(dir, "a")
		_, writer := s.OpenWriter(dir, "a")
		for _, err := range []error{s.Delete(dir, "a"), reader, writer} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that is gone: %v", err)
			}
		}
	})
}

// TestLog: a log of many segments, on disk, which raft-wal's own tests have in memory only. It is read while it is
// written, cut at both ends, and opened again.
func TestLog(t *testing.T) {
	upstream.Backends(t, func(t *testing.T) {
		e, err := ringfile.New(ringfile.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		dir := t.TempDir()
		open := func() (w *wal.WAL, close func()) {
			meta := new(metadb.BoltMetaDB)
			w, err := wal.Open(dir, wal.WithSegmentSize(64<<10), wal.WithMetaStore(meta),
				wal.WithSegmentFiler(segment.NewFiler(dir, raftwal.On(e))))
			if err != nil {
				t.Fatal(err)
			}
			return w, func() {
				if err := errors.Join(w.Close(), meta.Close()); err != nil { // WAL.Close leaves the meta store open
					t.Error(err)
				}
			}
		}
		data := func(i uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "entry %d ", i), 1+int(i%100)) }
		check := func(w *wal.WAL, first, last uint64) {
			t.Helper()
			for i := first; i <= last; i++ {
				var got raft.Log
				if err := w.GetLog(i, &got); err != nil || !bytes.Equal(got.Data, data(i)) {
					t.Errorf("entry %d: %.20q, %v", i, got.Data, err)
					return
				}
			}
		}
		write := func(w *wal.WAL, first, last uint64) {
			t.Helper()
			for i := first; i <= last; i += 10 {
				var logs []*raft.Log
				for j := i; j < min(i+10, last+1); j++ {
					logs = append(logs, &raft.Log{Index: j, Data: data(j)})
				}
				if err := w.StoreLogs(logs); err != nil {
					t.Fatal(err)
				}
			}
		}
		w, close := open()
		write(w, 1, 1000)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() { check(w, 1, 1000) })
		}
		write(w, 1001, 2000)
		readers.Wait()
		if err := errors.Join(w.DeleteRange(1, 500), w.DeleteRange(1501, 2000)); err != nil {
			t.Error(err)
		}
		close()
		w, close = open()
		defer close()
		first, err1 := w.FirstIndex()
		last, err2 := w.LastIndex()
		if err := errors.Join(err1, err2); err != nil || first != 501 || last != 1500 {
			t.Errorf("opened again it has %d to %d, %v", first, last, err)
		}
		write(w, 1501, 1600)
		check(w, 501, 1600)
	})
}
