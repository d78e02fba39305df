package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
)

// rangeSizes are the lengths of the files that ranges are of.
var rangeSizes = []int{0, 100, 4096, 200_001, 1 << 20}

// rangeFiles opens a file of each size, and os's view of each.
func rangeFiles(t *testing.T, e *ringfile.Engine, flag int) (files []*ringfile.File, names []string) {
	t.Helper()
	for _, size := range rangeSizes {
		name := testutil.PatternFile(t, size)
		files = append(files, openStream(t, e, name, os.O_RDONLY|flag))
		names = append(names, name)
	}
	return files, names
}

// expect is what a range has to give.
func expect(r stream.Range, size int64) (n int, err error) {
	switch {
	case r.Off < 0 || r.Len < 0:
		return 0, fs.ErrInvalid // or what stands for that
	case r.Len == 0:
		return 0, nil
	case r.Off >= size:
		return 0, io.EOF
	case r.Off+int64(r.Len) > size:
		return int(size - r.Off), io.EOF
	}
	return r.Len, nil
}

// checkBlock compares a block with the pattern that its file has.
func checkBlock(t *testing.T, b *stream.Block, err error, size int64) {
	t.Helper()
	n, want := expect(b.Range, size)
	if b.Off > math.MaxInt64/2 && len(b.Data) == 0 && errors.Is(err, syscall.EINVAL) {
		return // beyond what the file system has numbers for
	}
	switch {
	case want == fs.ErrInvalid:
		var pe *fs.PathError
		if len(b.Data) != 0 || !errors.As(err, &pe) {
			t.Errorf("%d bytes at %d: %d, %v, want a *fs.PathError", b.Len, b.Off, len(b.Data), err)
		}
	case len(b.Data) != n || err != want || testutil.CheckPattern(b.Data, b.Off) >= 0:
		t.Errorf("%d bytes at %d of %d: %d, %v, want %d, %v; first wrong byte %d", b.Len, b.Off, size, len(b.Data), err,
			n, want, testutil.CheckPattern(b.Data, b.Off))
	case cap(b.Data) > max(b.Len, 0):
		t.Errorf("%d bytes: an append would write on what follows, up to %d", b.Len, cap(b.Data))
	}
}

// randomRanges makes a list with runs of neighbours, holes, repeats, overlaps, and what is empty, beyond the end or
// not possible.
func randomRanges(rng *rand.Rand, files []*ringfile.File, n int) (all []stream.Range) {
	for len(all) < n {
		i := rng.IntN(len(files))
		r := stream.Range{File: files[i], Off: rng.Int64N(int64(rangeSizes[i]) + 5000), Len: rng.IntN(9000), Tag: i}
		switch rng.IntN(12) {
		case 0:
			r.Len = 0
		case 1:
			r.Off = -r.Off
		case 2:
			r.Len = -r.Len
		case 3:
			r.Off, r.Len = r.Off&^4095, 64<<10
		case 4:
			r.Off = math.MaxInt64 - rng.Int64N(10_000)
		case 5:
			if len(all) > 0 {
				r = all[rng.IntN(len(all))]
			}
		case 6, 7, 8: // a run
			r.Len = 1 + rng.IntN(5000)
			for range rng.IntN(100) {
				all = append(all, r)
				r.Off += int64(r.Len + rng.IntN(3)*rng.IntN(3000))
			}
		}
		all = append(all, r)
	}
	return all
}

func randomConfig(rng *rand.Rand) stream.RangesConfig {
	c := stream.RangesConfig{Unordered: rng.IntN(3) == 0}
	if rng.IntN(2) == 0 {
		c.MaxRequests, c.MaxBytes = 1+rng.IntN(10), 1+rng.IntN(100_000)
	}
	return c
}

// errOver is what ends a context in a test.
var errOver = errors.New("over")

// TestRangesRandom reads random lists in random ways, some of them not to their end, while the page cache loses
// what it has.
func TestRangesRandom(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		files, names := rangeFiles(t, e, flag)
		for seed := range seeds {
			rng := rand.New(rand.NewPCG(seed, 1))
			list := randomRanges(rng, files, 1+rng.IntN(400))
			ctx, cancel := context.Background(), context.CancelCauseFunc(func(error) {})
			if rng.IntN(2) == 0 {
				ctx, cancel = context.WithCancelCause(ctx)
			}
			end, stopAt := rng.IntN(5), rng.IntN(len(list))
			config := randomConfig(rng)
			var kept []stream.Block
			got := make([]bool, len(list))
			turns, over := 0, false
			body := func(b *stream.Block, err error) (more bool) {
				if over {
					t.Errorf("seed %d: a turn after the one with the context's error", seed)
				}
				if errors.Is(err, errOver) {
					var pe *fs.PathError
					if over = true; !errors.As(err, &pe) || len(b.Data) != 0 {
						t.Errorf("seed %d: %v with %d bytes", seed, err, len(b.Data))
					}
					return true
				}
				if b.Range != list[b.Index] || got[b.Index] || !config.Unordered && b.Index != turns {
					t.Errorf("seed %d: turn %d has range %d, %+v", seed, turns, b.Index, b.Range)
				}
				got[b.Index] = true
				checkBlock(t, b, err, int64(rangeSizes[b.Tag.(int)]))
				if rng.IntN(10) == 0 {
					data := b.Keep()
					if !bytes.Equal(data, b.Data) {
						t.Errorf("seed %d: Keep returned %d bytes of %d", seed, len(data), len(b.Data))
					}
					kept = append(kept, *b)
				}
				clear(b.Data) // it is the loop's
				if n := len(kept); n > 0 && kept[n-1].Index == b.Index {
					testutil.Pattern(b.Data, b.Off)
				}
				if rng.IntN(100) == 0 {
					testutil.Evict(names[rng.IntN(len(names))])
				}
				if turns++; turns == stopAt+1 {
					switch end {
					case 0:
						return false
					case 1:
						cancel(errOver)
					case 2:
						panic(errOver)
					}
				}
				return true
			}
			func() {
				defer func() {
					if r := recover(); r != nil && r != any(errOver) {
						panic(r)
					}
				}()
				for b, err := range stream.Ranges(ctx, slices.Values(list), config) {
					if !body(b, err) {
						break
					}
				}
			}()
			want := len(list)
			if end == 0 || end == 2 {
				want = stopAt + 1
			}
			if end == 1 && ctx.Done() != nil {
				want = stopAt + 1
				if over == (want == len(list)) {
					t.Errorf("seed %d: %d turns of %d, and then the context's error: %v", seed, turns, len(list), over)
				}
			}
			if turns != want {
				t.Errorf("seed %d: %d turns, want %d of %d", seed, turns, want, len(list))
			}
			cancel(nil)
			for _, b := range kept {
				if testutil.CheckPattern(b.Data, b.Off) >= 0 {
					t.Errorf("seed %d: kept data of range %d has changed", seed, b.Index)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d failed: %+v", seed, config)
			}
		}
	})
}

// scattered is n ranges of f without end, in an order that is not that of the file.
func scattered(f *ringfile.File, n, size, length int) iter.Seq[stream.Range] {
	return func(yield func(stream.Range) bool) {
		places := int64(size / length)
		for i := range int64(n) {
			if !yield(stream.Range{File: f, Off: i * 1021 % places * int64(length), Len: length}) {
				return
			}
		}
	}
}

// TestRangesSequenceEnds has the sequence panic, leave its goroutine, and count how far it is asked ahead.
func TestRangesSequenceEnds(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 1<<20), flag)
		broken := func(yield func(stream.Range) bool) {
			i := 0
			for r := range scattered(f, 100, 1<<20, 4096) {
				if i++; i == 50 {
					panic(errOver)
				}
				if !yield(r) {
					return
				}
			}
		}
		testutil.Evict(f.Name())
		turns := 0
		func() {
			defer func() {
				if r := recover(); r != any(errOver) {
					t.Errorf("recovered %v, want the panic of the sequence", r)
				}
			}()
			for range stream.Ranges(t.Context(), broken, stream.RangesConfig{}) {
				turns++
			}
		}()
		if turns >= 50 {
			t.Errorf("%d turns of 49 ranges", turns)
		}

		var wg sync.WaitGroup
		wg.Go(func() { // t.FailNow in the body of a loop does this
			for range stream.Ranges(t.Context(), scattered(f, 100, 1<<20, 4096), stream.RangesConfig{}) {
				runtime.Goexit()
			}
		})
		wg.Wait()

		for _, c := range []stream.RangesConfig{{MaxRequests: 5}, {MaxBytes: 5 * 4096}} {
			testutil.Evict(f.Name())
			asked, turns, ahead := 0, 0, 0
			counted := func(yield func(stream.Range) bool) {
				for r := range scattered(f, 300, 1<<20, 4096) {
					asked++
					if !yield(r) {
						return
					}
				}
			}
			for _, err := range stream.Ranges(t.Context(), counted, c) {
				if err != nil {
					t.Error(err)
				}
				turns++
				ahead = max(ahead, asked-turns)
			}
			if flag != 0 && (ahead < 3 || ahead > 7) {
				t.Errorf("%+v: %d blocks ahead at most, want about five, one that may grow, and the next", c, ahead)
			}
		}
	})
}

// TestRangesAdapts looks at how far ahead is read: not at all of what the page cache has, far of what it has not, and
// less again later.
func TestRangesAdapts(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	const size, length = 4 << 20, 4096
	name := testutil.PatternFile(t, size)
	f := openStream(t, e, name, 0)
	needInline(t, f)
	f.Advise(0, 0, ringfile.AdviceRandom) // the kernel need not read neighbours
	asked, turns := 0, 0
	ranges := func(yield func(stream.Range) bool) {
		for r := range scattered(f, 4*size/length, size, length) {
			asked++
			if !yield(r) {
				return
			}
		}
	}
	most := [4]int{} // in each pass over the file
	evicted := false
	for _, err := range stream.Ranges(context.Background(), ranges, stream.RangesConfig{}) {
		if err != nil {
			t.Fatal(err)
		}
		pass := turns * len(most) / (4 * size / length)
		if pass == 1 && !evicted {
			evicted = true
			if testutil.Evict(name) != nil {
				t.Skip("nothing can be evicted")
			}
			device := func() uint64 { s := e.Stats(); return s.Ring + s.Blocking }
			before := device()
			defer func() {
				// It reads some of the neighbours, too, as it likes.
				if n := device() - before; n < 16 {
					t.Errorf("only %d reads came from the device", n)
				}
			}()
		}
		turns++
		most[pass] = max(most[pass], asked-turns)
		if pass == 3 && turns%(size/length) == size/length/2 && asked-turns > most[1]/2 {
			t.Errorf("%d blocks ahead long after all was in the page cache, before that %d", asked-turns, most[1])
		}
	}
	t.Logf("blocks ahead in passes over a file that is cached, evicted, and cached: %v", most)
	if most[0] != 0 || most[1] < 8 {
		t.Errorf("blocks ahead at most, in passes: %v; want none of what is cached, and many of what is not", most)
	}
}

// needInline skips the test where reads of what is in the page cache are system calls, of which only the time tells
// whether they have waited.
func needInline(t *testing.T, f *ringfile.File) {
	p := make([]byte, 4096)
	f.ReadAt(p, 0) // finds out what the file system can do
	before := f.Engine().Stats().Cached
	if f.ReadAt(p, 0); f.Engine().Stats().Cached == before {
		t.Skip("needs Linux 5.17: RWF_NOWAIT is not to be relied on")
	}
}

// TestRangesMerge counts the requests for neighbours.
func TestRangesMerge(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	const size, n = 4 << 20, 1000
	f := openStream(t, e, testutil.PatternFile(t, size), oDirect)
	requests := func() uint64 { s := e.Stats(); return s.Ring + s.Blocking }
	before := requests()
	i := 0
	for b, err := range stream.Ranges(t.Context(), func(yield func(stream.Range) bool) {
		for i := range n {
			if !yield(stream.Range{File: f, Off: int64(i) * 4000, Len: 3900}) { // in blocks that they share, with holes
				return
			}
		}
	}, stream.RangesConfig{}) {
		checkBlock(t, b, err, size)
		i++
	}
	if got := requests() - before; got > n/4 || i != n {
		t.Errorf("%d requests for %d neighbours", got, n)
	}
}

// TestRangesErrors has files that cannot be read, beside one that can.
func TestRangesErrors(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		good := openStream(t, e, testutil.PatternFile(t, 10_000), flag)
		closed := openStream(t, e, testutil.PatternFile(t, 10_000), flag)
		closed.Close()
		dir, err := e.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		late := openStream(t, e, testutil.PatternFile(t, 10_000), flag)
		late.SetReadDeadline(time.Now().Add(-time.Second))
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			for _, unordered := range []bool{false, true} {
				var list []stream.Range
				for range 20 {
					for _, f := range []*ringfile.File{good, nil, closed, dir, new(ringfile.File), late} {
						list = append(list, stream.Range{File: f, Off: 1, Len: 5000})
					}
				}
				turns := 0
				for b, err := range stream.Ranges(ctx, slices.Values(list), stream.RangesConfig{Unordered: unordered}) {
					turns++
					switch b.File {
					case good:
						checkBlock(t, b, err, 10_000)
						continue
					case closed:
						if !errors.Is(err, fs.ErrClosed) {
							t.Errorf("closed file: %v", err)
						}
					case late:
						if !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("deadline that has passed: %v", err)
						}
					case dir:
						if want := plainError(dir.Name()); err == nil || err.Error() != want.Error() {
							t.Errorf("directory: %v, want %v", err, want)
						}
					default:
						if err != fs.ErrInvalid {
							t.Errorf("no file: %v", err)
						}
					}
					if len(b.Data) != 0 {
						t.Errorf("%d bytes with %v", len(b.Data), err)
					}
				}
				if turns != len(list) {
					t.Errorf("%d turns of %d", turns, len(list))
				}
			}
		}
	})
}

// plainError is what os says to reading a directory.
func plainError(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 5000), 1)
	return err
}

// TestRangesContextEnded begins with a context that is over.
func TestRangesContextEnded(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		f := openStream(t, e, testutil.PatternFile(t, 10_000), flag)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOver)
		turns := 0
		for b, err := range stream.Ranges(ctx, scattered(f, 100, 8192, 4096), stream.RangesConfig{}) {
			var pe *fs.PathError
			if turns++; !errors.Is(err, errOver) || !errors.As(err, &pe) || len(b.Data) != 0 || b.Index != 0 {
				t.Errorf("block %d: %d bytes, %v", b.Index, len(b.Data), err)
			}
		}
		if turns != 1 {
			t.Errorf("%d turns, want one that says why", turns)
		}
	})
}

// TestRangesPoisons uses data when its turn is over, which the race detector's build notices.
func TestRangesPoisons(t *testing.T) {
	if !race.Enabled {
		t.Skip("memory is poisoned under -race only")
	}
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		f := openStream(t, e, testutil.PatternFile(t, 1<<20), 0)
		var last []byte
		off := int64(0)
		for b, err := range stream.Ranges(context.Background(), scattered(f, 10, 1<<20, 4096), stream.RangesConfig{}) {
			if err != nil {
				t.Fatal(err)
			}
			if testutil.CheckPattern(last, off) < 0 && last != nil {
				t.Error("data of the turn before is still there")
			}
			last, off = b.Data, b.Off
		}
	})
}

// TestRangesNested reads an index ahead, and what it says, too.
func TestRangesNested(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		const size = 1 << 20
		f := openStream(t, e, testutil.PatternFile(t, size), flag)
		index := openStream(t, e, testutil.PatternFile(t, 64<<10), flag)
		lazy := func(yield func(stream.Range) bool) {
			for b, err := range stream.Ranges(t.Context(), scattered(index, 100, 64<<10, 512), stream.RangesConfig{}) {
				if err != nil {
					t.Error(err)
				}
				sum := int64(0)
				for _, c := range b.Data {
					sum = sum*31 + int64(c)
				}
				if !yield(stream.Range{File: f, Off: int64(uint64(sum) % size), Len: 3000}) {
					return
				}
			}
		}
		turns := 0
		for b, err := range stream.Ranges(t.Context(), lazy, stream.RangesConfig{}) {
			checkBlock(t, b, err, size)
			turns++
		}
		if turns != 100 {
			t.Errorf("%d turns", turns)
		}
	})
}

// TestRangesGrows reads the end of a file that others make longer.
func TestRangesGrows(t *testing.T) {
	streams(t, func(t *testing.T, e *ringfile.Engine, flag int) {
		name := filepath.Join(t.TempDir(), "f")
		w, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		f := openStream(t, e, name, flag)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			p := testutil.PatternBytes(1 << 20)
			for n := 0; n < len(p); n += 777 {
				select {
				case <-stop:
					return
				default:
					w.Write(p[n:min(n+777, len(p))])
				}
			}
		})
		for b, err := range stream.Ranges(t.Context(), func(yield func(stream.Range) bool) {
			for i := range int64(3000) {
				st, err := w.Stat()
				if err != nil || !yield(stream.Range{File: f, Off: max(st.Size()-1500+i%7, 0), Len: 3000}) {
					return
				}
			}
		}, stream.RangesConfig{}) {
			if err != nil && err != io.EOF || testutil.CheckPattern(b.Data, b.Off) >= 0 || err == nil && len(b.Data) != 3000 {
				t.Errorf("at %d: %d bytes, %v", b.Off, len(b.Data), err)
			}
		}
		close(stop)
		wg.Wait()
	})
}

// TestRangesAllocates looks for allocations for a block.
func TestRangesAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	t.Setenv("RINGFILE_BACKEND", "uring")
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	const size = 32 << 20
	name := testutil.PatternFile(t, size)
	for _, flag := range []int{0, oDirect} {
		f := openStream(t, e, name, flag)
		if flag == 0 {
			needInline(t, f)
		}
		for _, length := range []int{4096, 64 << 10} {
			for _, unordered := range []bool{false, true} {
				for _, cold := range []bool{false, true} {
					if flag != 0 && !cold || flag == 0 && cold && length > 4096 {
						continue
					}
					long := 8192
					if length > 4096 {
						long = 1536
					}
					read := func(n int) float64 {
						least := math.Inf(1)
						for range 3 {
							least = min(least, testing.AllocsPerRun(1, func() {
								if cold {
									testutil.Evict(name)
								}
								for _, err := range stream.Ranges(context.Background(), scattered(f, n, size, length), stream.RangesConfig{Unordered: unordered}) {
									if err != nil {
										t.Error(err)
									}
								}
							}))
						}
						return least
					}
					// A loop sets some hundred objects up: what matters is those for more blocks.
					short := read(long / 2)
					if n := (read(long) - short) / float64(long/2); n > 0.1 {
						t.Errorf("flag %#x, %d bytes, unordered %v, cold %v: %.2f allocations for each block", flag, length, unordered, cold, n)
					}
				}
			}
		}
	}
}

func ExampleRanges() {
	name := filepath.Join(os.TempDir(), "ringfile-example-ranges")
	if err := os.WriteFile(name, []byte("the quick brown fox"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(name)
	f, err := ringfile.Open(name)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()

	words := []stream.Range{{File: f, Off: 16, Len: 3}, {File: f, Off: 4, Len: 5}}
	for b, err := range stream.Ranges(context.Background(), slices.Values(words), stream.RangesConfig{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", b.Data)
	}
	// Output:
	// fox
	// quick
}
