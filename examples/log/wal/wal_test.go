package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// open opens a log, and closes it at the end of the test.
func open(t *testing.T, name string) *Log {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// add appends a record that must get the sequence number seq.
func add(t *testing.T, l *Log, seq uint64, record string) {
	t.Helper()
	if got, err := l.Append([]byte(record)); got != seq || err != nil {
		t.Fatalf("Append: %d, %v, want %d", got, err, seq)
	}
}

// check checks what is in a log.
func check(t *testing.T, l *Log, want ...string) {
	t.Helper()
	var got []string
	err := l.Replay(func(seq uint64, record []byte) error {
		if got = append(got, string(record)); seq != uint64(len(got)) {
			t.Errorf("record %d is number %d", len(got), seq)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Replay: %q, %v, want %q", got, err, want)
	}
}

func TestLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := open(t, name)
	check(t, l)
	large := string(make([]byte, 1<<20))
	add(t, l, 1, "first")
	add(t, l, 2, "")
	add(t, l, 3, large)
	check(t, l, "first", "", large)
	l.Close()
	l = open(t, name)
	check(t, l, "first", "", large)
	add(t, l, 4, "fourth")
	check(t, l, "first", "", large, "fourth")
	stop := errors.New("stop")
	if err := l.Replay(func(uint64, []byte) error { return stop }); err != stop {
		t.Errorf("Replay: %v", err)
	}
	if l.Cut() != 0 {
		t.Errorf("%d bytes of a whole log were cut off", l.Cut())
	}
}

// three makes a log of three records, and returns what is in its file and where the records end.
func three(t *testing.T, name string) (content []byte, ends []int) {
	l := open(t, name)
	for seq := range uint64(3) {
		add(t, l, seq+1, fmt.Sprint("record ", seq))
		ends = append(ends, int(l.end))
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content, ends
}

// recovered opens a log with a certain content, of which n records are whole, and goes on with it.
func recovered(t *testing.T, name string, content []byte, n int) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, name)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("record ", i))
	}
	check(t, l, want...)
	if cut := int64(len(content)) - l.end; l.Cut() != cut {
		t.Errorf("Cut: %d, want %d", l.Cut(), cut)
	}
	want = append(want, "on") // not as long as what was there
	add(t, l, uint64(len(want)), "on")
	check(t, l, want...)
	l.Close()
	l = open(t, name)
	check(t, l, want...)
	if l.Cut() != 0 {
		t.Errorf("Cut of a log that has been recovered: %d", l.Cut())
	}
	l.Close()
}

// TestTornTail cuts a log at every byte, and has zeros in place of what is behind it, as a file system may.
func TestTornTail(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	content, ends := three(t, name)
	for cut := range len(content) + 1 {
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		recovered(t, name, content[:cut], whole)
		zeros := append(slices.Clone(content[:cut]), make([]byte, len(content)-cut+100)...)
		recovered(t, name, zeros, whole)
	}
}

// TestTornRecord changes every byte: the record is not whole, and those behind it are not reached.
func TestTornRecord(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	content, ends := three(t, name)
	for i := range content {
		whole := 0
		for ends[whole] <= i {
			whole++
		}
		torn := slices.Clone(content)
		torn[i] ^= 0x81
		recovered(t, name, torn, whole)
	}
	// Records that are whole, but not where they belong.
	recovered(t, name, slices.Concat(content[:ends[0]], content[ends[1]:]), 1)
	recovered(t, name, slices.Concat(content[:ends[0]], content), 1)
}

// TestAppendConcurrently has many goroutines append: all records are there, those of one in its order.
func TestAppendConcurrently(t *testing.T) {
	const writers, each = 64, 40
	name := filepath.Join(t.TempDir(), "log")
	l := open(t, name)
	var seqs sync.Map // of records
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			before := uint64(0)
			for i := range each {
				record := fmt.Sprintf("%d of %d", i, w)
				seq, err := l.Append([]byte(record))
				if err != nil || seq <= before {
					t.Errorf("%s: %d after %d, %v", record, seq, before, err)
				}
				before = seq
				seqs.Store(seq, record)
			}
		})
	}
	replayed := make(chan struct{})
	go func() { // beside them
		defer close(replayed)
		for range 20 {
			if err := l.Replay(func(uint64, []byte) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	}()
	group.Wait()
	<-replayed
	l.Close()
	l = open(t, name)
	n := 0
	err := l.Replay(func(seq uint64, record []byte) error {
		if want, _ := seqs.Load(seq); want != string(record) {
			t.Errorf("record %d is %q, want %q", seq, record, want)
		}
		n++
		return nil
	})
	if err != nil || n != writers*each {
		t.Errorf("%d records, want %d; %v", n, writers*each, err)
	}
}

// TestAppendFails has one Append fail: no later one may succeed, whatever its own write and sync say.
func TestAppendFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l := open(t, name)
	add(t, l, 1, "first")
	l.f.SetDeadline(time.Unix(1, 0)) // any error will do
	if _, err := l.Append([]byte("second")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Append: %v", err)
	}
	l.f.SetDeadline(time.Time{})
	check(t, l, "first")
	for range 2 {
		if _, err := l.Append([]byte("third")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Append after one that failed: %v", err)
		}
	}
	l.Close()
	l = open(t, name)
	add(t, l, l.seq+1, "on")
}

// TestAppendWaits has an Append that is slow: one behind it, whose sync is done, ends after it, with its error.
func TestAppendWaits(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "log"))
	for _, failure := range []error{nil, errors.New("of the disk")} {
		slow := &commit{done: make(chan struct{})}
		l.last = slow
		ended := make(chan error)
		go func() {
			_, err := l.Append([]byte("quick"))
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Errorf("Append has ended before that before it: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		slow.err = failure
		close(slow.done)
		if err := <-ended; err != failure {
			t.Errorf("Append behind one that ended with %v: %v", failure, err)
		}
	}
}
