package stream_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// gauged is a reader that knows how many read it at the same time.
type gauged struct {
	io.ReaderAt
	now, most atomic.Int64
	bad       int64 // offset at which it fails
}

var errBad = errors.New("bad place")

func (g *gauged) ReadAt(p []byte, off int64) (int, error) {
	now := g.now.Add(1)
	defer g.now.Add(-1)
	for {
		most := g.most.Load()
		if now <= most || g.most.CompareAndSwap(most, now) {
			break
		}
	}
	time.Sleep(100 * time.Microsecond)
	if off == g.bad {
		return 0, errBad
	}
	return g.ReaderAt.ReadAt(p, off)
}

// TestMulti compares what ReadAtMulti of a wrapped reader and of a File gives with one read after the other.
func TestMulti(t *testing.T) {
	const size = 100_000
	pattern := testutil.PatternBytes(size)
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openStream(t, e, testutil.PatternFile(t, size), 0)
		if stream.Multi(f, 1) != stream.MultiReaderAt(f) {
			t.Error("a File is wrapped")
		}
		for seed := range uint64(30) {
			rng := rand.New(rand.NewPCG(seed, 1))
			limit := 1 + rng.IntN(5)
			g := &gauged{ReaderAt: bytes.NewReader(pattern), bad: -1}
			wrapped := stream.Multi(g, limit)
			var bufs [][]byte
			var offs []int64
			for range rng.IntN(50) {
				bufs = append(bufs, make([]byte, rng.IntN(5000)))
				offs = append(offs, rng.Int64N(size-5000))
			}
			want, wantErr := len(bufs), error(nil)
			for i := range bufs {
				if rng.IntN(100) == 0 && len(bufs[i]) > 0 {
					offs[i] = size - int64(len(bufs[i])) + 1
					if wantErr == nil {
						want, wantErr = i, io.EOF
					}
				}
			}
			for _, m := range []stream.MultiReaderAt{wrapped, f} {
				for _, b := range bufs {
					clear(b)
				}
				n, err := m.ReadAtMulti(bufs, offs)
				if n != want || err != wantErr {
					t.Errorf("seed %d, %T: %d, %v, want %d, %v", seed, m, n, err, want, wantErr)
				}
				for i, b := range bufs[:n] {
					if testutil.CheckPattern(b, offs[i]) >= 0 {
						t.Errorf("seed %d, %T: wrong data at %d", seed, m, offs[i])
					}
				}
			}
			if most := g.most.Load(); most > int64(limit)+1 {
				t.Errorf("seed %d: %d reads at the same time with a limit of %d", seed, most, limit)
			}
			if len(bufs) > 1 && wantErr == nil {
				g.bad = offs[len(offs)/2]
				first := 0
				for offs[first] != g.bad {
					first++
				}
				if n, err := wrapped.ReadAtMulti(bufs, offs); len(bufs[first]) > 0 && (n != first || err != errBad) {
					t.Errorf("seed %d: %d, %v, want %d, %v", seed, n, err, first, errBad)
				}
			}
		}
	})
	defer func() {
		if recover() == nil {
			t.Error("no panic for an offset too few")
		}
	}()
	stream.Multi(&gauged{}, 0).ReadAtMulti(make([][]byte, 2), make([]int64, 1))
}
