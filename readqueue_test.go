package ringfile_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestReadQueue keeps a changing number of reads in flight, waits for any or for a certain one, and leaves some behind.
func TestReadQueue(t *testing.T) {
	batchFiles(t, func(t *testing.T, e *ringfile.Engine, f *ringfile.File) {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 1))
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if seed%2 == 1 {
				ctx, cancel = context.WithCancel(ctx)
			}
			q := ringfile.NewReadQueue(ctx)
			type read struct {
				buf []byte
				off int64
			}
			flying := map[int]read{}
			collect := func() {
				for i, r, ok := q.Next(); ok; i, r, ok = q.Next() {
					x, known := flying[i]
					if !known {
						t.Fatalf("seed %d: read %d is not in flight", seed, i)
					}
					delete(flying, i)
					checkBatchRead(t, i, r, x.buf, x.off)
				}
			}
			for k := range 300 {
				x := read{ringfile.AlignedBuffer(4096, 4096), batchOffset(k)}
				if i, r := q.ReadAt(f, x.buf, x.off); i < 0 {
					checkBatchRead(t, k, r, x.buf, x.off)
				} else if _, twice := flying[i]; twice {
					t.Fatalf("seed %d: index %d is in use", seed, i)
				} else {
					flying[i] = x
				}
				switch rng.IntN(6) {
				case 0:
					q.Start()
				case 1:
					for i := range flying {
						if err := q.Wait(i); err != nil {
							t.Error(err)
						}
						if collect(); flying[i].buf != nil {
							t.Errorf("seed %d: waited for %d, which is not finished", seed, i)
						}
						break
					}
				case 2:
					before := len(flying)
					if err := q.Wait(-1); err != nil {
						t.Error(err)
					}
					if collect(); before > 0 && len(flying) == before {
						t.Errorf("seed %d: waited for any, and none is finished", seed)
					}
				case 3:
					collect()
				}
			}
			switch {
			case seed%4 == 3:
				cancel()
				if err := q.Wait(-1); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			case seed%4 < 2:
				for len(flying) > 0 {
					if err := q.Wait(-1); err != nil {
						t.Fatal(err)
					}
					collect()
				}
				if err := q.Wait(-1); err != nil {
					t.Errorf("nothing to wait for: %v", err)
				}
			}
			q.Leave() // the rest has its buffers still
			cancel()
		}
		q := ringfile.NewReadQueue(context.Background())
		defer q.Leave()
		p := ringfile.AlignedBuffer(4096, 4096)
		i, r := q.ReadAt(f, p, fileSize)
		if i >= 0 {
			q.Wait(i)
			_, r, _ = q.Next()
		}
		if r.N != 0 || r.Err != io.EOF {
			t.Errorf("at the end: %d, %v", r.N, r.Err)
		}
		if i, r := q.ReadAt(nil, p, 0); i >= 0 || r.Err == nil {
			t.Errorf("no file: %d, %v", i, r.Err)
		}
	})
	if e, err := ringfile.New(ringfile.Config{}); err == nil {
		defer e.Close()
		f, err := e.Open(testutil.PatternFile(t, 8192))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			for _, ctx := range []context.Context{context.Background(), ctx} {
				q := ringfile.NewReadQueue(ctx)
				p := make([]byte, 4096)
				if i, _ := q.ReadAt(f, p, 4096); i >= 0 {
					if err := q.Wait(i); err != nil {
						t.Error(err)
					}
				}
				if testutil.CheckPattern(p, 4096) >= 0 {
					t.Error("wrong data")
				}
				q.Leave()
			}
		})
	}
}
