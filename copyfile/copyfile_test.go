package copyfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
)

// copyShape is a source file for copies.
type copyShape struct {
	name   string
	size   int64
	extent [][2]int64 // where there is data, the rest being holes
}

var copyShapes = []copyShape{
	{"empty", 0, nil},
	{"one byte", 1, [][2]int64{{0, 1}}},
	{"page", 4096, [][2]int64{{0, 4096}}},
	{"small, unaligned", 50_001, [][2]int64{{0, 50_001}}},
	{"unaligned", 9<<20 + 777, [][2]int64{{0, 9<<20 + 777}}},
	{"all hole", 3<<20 + 1, nil},
	{"hole at the start", 2 << 20, [][2]int64{{1 << 20, 2 << 20}}},
	{"hole at the end", 3<<20 + 5, [][2]int64{{0, 1 << 20}}},
	{"holes", 5<<20 + 123, [][2]int64{{64 << 10, 128 << 10}, {1 << 20, 1<<20 + 4096}, {4 << 20, 5<<20 + 123}}},
	{"data within a block", 1 << 20, [][2]int64{{500_001, 500_017}}},
}

// make makes the file, with an odd mode and old times.
func (s *copyShape) make(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(s.size); err != nil {
		t.Fatal(err)
	}
	for _, x := range s.extent {
		p := make([]byte, x[1]-x[0])
		testutil.Pattern(p, x[0])
		if _, err := f.WriteAt(p, x[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Chmod(0o640); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_500_000_000, 123_456_789)
	if err := os.Chtimes(name, old.Add(time.Hour), old); err != nil {
		t.Fatal(err)
	}
}

// sameCopy compares contents, mode and time of modification.
func sameCopy(t *testing.T, dst, src string) {
	t.Helper()
	want, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s differs from %s: %d and %d bytes", dst, src, len(got), len(want))
	}
	g, err := os.Stat(dst)
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.Stat(src)
	if err != nil {
		t.Fatal(err)
	}
	if g.Mode() != w.Mode() || !g.ModTime().Equal(w.ModTime()) {
		t.Errorf("%s: %v %v, want %v %v", dst, g.Mode(), g.ModTime(), w.Mode(), w.ModTime())
	}
}

// ways are those to copy, see Config.
var ways = []string{"", "direct", "uncached"}

// copies copies files of all shapes from one directory to another, in each way.
func copies(t *testing.T, from, to string) {
	for _, way := range ways {
		t.Run(fmt.Sprintf("way=%s", way), func(t *testing.T) {
			enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
				for _, s := range copyShapes {
					src, dst := filepath.Join(from, "src"), filepath.Join(to, "dst")
					s.make(t, src)
					for _, existing := range []bool{false, true} { // the second time it exists
						var seen int64
						c := copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached", Progress: func(n int64) { seen += n }}
						n, err := copyfile.Copy(t.Context(), dst, src, c)
						if n != s.size || err != nil {
							t.Fatalf("%s, existing %v: Copy = %d, %v", s.name, existing, n, err)
						}
						if seen > n || seen == 0 && len(s.extent) > 0 {
							t.Errorf("%s: progress of %d bytes, the file has %d", s.name, seen, n)
						}
						sameCopy(t, dst, src)
						sameHoles(t, s.name, dst, src)
					}
					if err := errors.Join(os.Remove(src), os.Remove(dst)); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	copies(t, dir, dir)
}

// TestCopyShorter overwrites a longer file.
func TestCopyShorter(t *testing.T) {
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		src, dst := testutil.PatternFile(t, 1000), testutil.PatternFile(t, 200_000)
		if n, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Engine: e}); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
		sameCopy(t, dst, src)
	})
}

// TestCopyRefuses has every refusal leave the files as they are.
func TestCopyRefuses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	data := []byte("precious")
	for _, err := range []error{
		os.WriteFile("a", data, 0o644), os.Link("a", "hard"), os.Symlink("a", "soft"), os.Symlink("nowhere", "dangling"),
		os.Mkdir("dir", 0o755),
	} {
		if err != nil {
			t.Skip(err) // no links here
		}
	}
	enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
		for _, c := range []struct {
			dst, src string
			want     error
		}{
			{"a", "a", nil},
			{"./a", "a", nil},
			{"hard", "a", nil},
			{"soft", "a", nil},
			{"a", "soft", nil},
			{"new", "missing", fs.ErrNotExist},
			{"new", "dir", nil},
			{"dir", "a", nil},
			{"dangling", "a", fs.ErrNotExist},
			{"missing/new", "a", fs.ErrNotExist},
		} {
			n, err := copyfile.Copy(t.Context(), c.dst, c.src, copyfile.Config{Engine: e})
			if n != 0 || err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, copyfile.ErrIncomplete) {
				t.Errorf("Copy(%s, %s) = %d, %v", c.dst, c.src, n, err)
			}
			if got, err := os.ReadFile("a"); !bytes.Equal(got, data) {
				t.Fatalf("Copy(%s, %s) has changed the source: %q, %v", c.dst, c.src, got, err)
			}
			for _, name := range []string{"new", "nowhere"} {
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Copy(%s, %s) has made %s", c.dst, c.src, name)
				}
			}
		}
	})
}

// TestCopyContext ends the context before and in the middle of a copy.
func TestCopyContext(t *testing.T) {
	for _, way := range ways {
		enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
			src := testutil.PatternFile(t, 40<<20)
			dst := filepath.Join(t.TempDir(), "dst")
			for _, existing := range []bool{false, true} {
				for _, after := range []int64{0, 1} {
					if existing {
						if err := os.WriteFile(dst, []byte("old"), 0o644); err != nil {
							t.Fatal(err)
						}
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					why := errors.New("enough")
					if after == 0 {
						cancel(why)
					}
					c := copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached", Progress: func(int64) { cancel(why) }}
					_, err := copyfile.Copy(ctx, dst, src, c)
					cancel(nil)
					if err == nil {
						if after == 0 {
							t.Error("Copy succeeds although its context has ended")
						}
						os.Remove(dst)
						continue // the blocks are shared: it was quicker than the context
					}
					if !errors.Is(err, why) || errors.Is(err, copyfile.ErrIncomplete) != (existing && after > 0) {
						t.Errorf("existing %v: %v", existing, err)
					}
					got, err := os.ReadFile(dst)
					if existing == errors.Is(err, fs.ErrNotExist) {
						t.Errorf("existing %v: the destination then: %v", existing, err)
					}
					if after == 0 && existing && string(got) != "old" {
						t.Errorf("a copy that never began has changed the destination: %q", got)
					}
					os.Remove(dst)
				}
			}
		})
	}
}

// TestCopyUnderChange copies a file that others make longer and shorter all the time.
func TestCopyUnderChange(t *testing.T) {
	for _, way := range ways {
		enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
			src := testutil.PatternFile(t, 1<<20)
			dst := filepath.Join(t.TempDir(), "dst")
			stop := make(chan struct{})
			changed := make(chan error, 1)
			go func() {
				for i := int64(0); ; i++ {
					select {
					case <-stop:
						changed <- nil
						return
					default:
					}
					if err := os.Truncate(src, 1+i*77_777%(12<<20)); err != nil {
						changed <- err
						return
					}
				}
			}()
			for i := 0; i < 30; i++ {
				n, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached"})
				if err != nil {
					t.Errorf("Copy = %d, %v", n, err)
					break
				}
				if st, err := os.Stat(dst); err != nil || st.Size() != n {
					t.Errorf("copied %d bytes, the copy has %d, %v", n, st.Size(), err)
				}
			}
			close(stop)
			if err := <-changed; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCopyGrowing has a file become longer while it is copied, behind the size that it said it has: it is
// copied to its end.
func TestCopyGrowing(t *testing.T) {
	if canClone(t) {
		t.Skip("copies share the blocks here: no copy takes a while")
	}
	for _, way := range ways {
		enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
			const size, more = 9 << 20, 12_345
			for _, holes := range []bool{false, true} {
				src, dst := testutil.PatternFile(t, size), filepath.Join(t.TempDir(), "dst")
				if holes {
					src = filepath.Join(t.TempDir(), "holes")
					(&copyShape{size: size, extent: [][2]int64{{0, 4096}}}).make(t, src)
				}
				grow := sync.OnceFunc(func() {
					f, err := os.OpenFile(src, os.O_WRONLY|os.O_APPEND, 0)
					if err != nil {
						t.Error(err)
						return
					}
					defer f.Close()
					f.Write(testutil.PatternBytes(more))
				})
				// In this goroutine, so that it has grown before the copy goes on.
				c := copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached", Progress: func(int64) { grow() }}
				n, err := copyfile.Copy(context.Background(), dst, src, c)
				if n != size+more || err != nil {
					t.Errorf("way %q, holes %v: Copy = %d, %v, want %d", way, holes, n, err, size+more)
				}
				want, _ := os.ReadFile(src)
				if got, err := os.ReadFile(dst); err != nil || !bytes.Equal(got, want) {
					t.Errorf("way %q, holes %v: %d bytes, %v, want %d", way, holes, len(got), err, len(want))
				}
			}
		})
	}
}

// TestCopyProc copies files that say they are empty.
func TestCopyProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	for _, way := range ways {
		enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
			for _, src := range []string{"/proc/version", "/proc/kallsyms", "/proc/filesystems"} {
				want, err := os.ReadFile(src)
				if err != nil {
					continue
				}
				dst := filepath.Join(t.TempDir(), "dst")
				n, err := copyfile.Copy(t.Context(), dst, src, copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached"})
				if got, _ := os.ReadFile(dst); err != nil || n != int64(len(want)) || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes of %d, %v", src, len(got), len(want), err)
				}
			}
		})
	}
}

// TestCopyEngineClosed has copies find their engine closed.
func TestCopyEngineClosed(t *testing.T) {
	for _, way := range ways {
		enginetest.Backends(t, enginetest.Small, func(t *testing.T, e *ringfile.Engine) {
			src := testutil.PatternFile(t, 20<<20)
			dst := filepath.Join(t.TempDir(), "dst")
			c := copyfile.Config{Engine: e, Direct: way == "direct", Uncached: way == "uncached", Progress: func(int64) { go e.Close() }}
			for {
				_, err := copyfile.Copy(t.Context(), dst, src, c)
				if err == nil {
					continue // it was quicker
				}
				if !errors.Is(err, ringfile.ErrEngineClosed) {
					t.Errorf("Copy on a closed engine: %v", err)
				}
				break
			}
		})
	}
}
