package stream

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
)

// openPattern opens a file with the pattern.
func openPattern(t *testing.T, e *ringfile.Engine, size int) *ringfile.File {
	t.Helper()
	f, err := e.OpenFile(testutil.PatternFile(t, size), os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestRangesMaxBytes sees to it that no more than MaxBytes is under way, but for a range that is larger itself.
func TestRangesMaxBytes(t *testing.T) {
	const maxBytes = 100_000
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openPattern(t, e, 1<<20)
		for _, length := range []int{60_000, 3000, 150_000} { // scattered, or neighbours
			for _, unordered := range []bool{false, true} {
				var l *lookahead
				turns := 0
				l = newLookahead(t.Context(), RangesConfig{MaxBytes: maxBytes, Unordered: unordered}, func(b *Block, err error) bool {
					n := l.bytes
					if t := l.returned; t != nil { // this is its last block
						n += int(t.end - t.start)
					}
					if err != nil || n > max(maxBytes, length) {
						t.Errorf("ranges of %d bytes: %d bytes are under way, %v", length, n, err)
					}
					turns++
					return !t.Failed()
				})
				l.distance = 1000
				for i := range 50 {
					r := Range{File: f, Off: int64(i*3000 + i%2*600_000), Len: length}
					if length == 3000 {
						r.Off = int64(i * 3000)
					}
					if !l.add(r) {
						break
					}
				}
				l.finish()
				l.leave()
				if turns != 50 && !t.Failed() {
					t.Errorf("%d turns, want 50", turns)
				}
			}
		}
	})
}

// TestRangesOverAfterHit ends the context where the page cache has had all so far, and the next read fails at once.
func TestRangesOverAfterHit(t *testing.T) {
	if race.Enabled {
		t.Skip("the short way is not taken")
	}
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openPattern(t, e, 1<<20)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		turns := 0
		var last error
		l := newLookahead(ctx, RangesConfig{}, func(b *Block, err error) bool {
			turns++
			last = err
			if len(b.Data) > 0 && err != nil {
				t.Errorf("%d bytes with %v", len(b.Data), err)
			}
			return true
		})
		defer l.leave()
		next := func() bool { return l.add(Range{File: f, Off: int64(turns * 8192), Len: 4096}) }
		for range 2 {
			if !next() || last != nil {
				t.Fatal(last)
			}
			for l.blocks > 0 {
				l.next()
			}
			l.distance = 1
		}
		before := turns
		f.Close()
		cancel(why)
		if next() || turns != before+1 || !errors.Is(last, why) || errors.Is(last, fs.ErrClosed) {
			t.Errorf("%d turns more, the last with %v, want one with %v", turns-before, last, why)
		}
	})
}
