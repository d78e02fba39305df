package kit

import (
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKit reads pieces of a file of 1 GiB.
func TestKit(t *testing.T) {
	w := kitAsked(t)
	name := filepath.Join(w.Dir, "file")
	const size, piece = 1 << 30, 16 << 10
	random := rand.New(rand.NewSource(1))
	if _, err := os.Stat(name); err != nil {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		for p := make([]byte, 1<<20); ; {
			random.Read(p)
			if _, err := f.Write(p); err != nil {
				t.Fatal(err)
			}
			if info, err := f.Stat(); err != nil || info.Size() == size {
				break
			}
		}
		f.Close()
	}
	kitEvict(t, name)
	*disableMmap = strings.Contains(w.Name, "without mmap")
	r := MustOpenReaderAt(name)
	defer r.MustClose()
	if strings.Contains(w.Name, "cached") {
		p := make([]byte, 1<<20)
		for off := int64(0); off < size; off += int64(len(p)) {
			r.MustReadAt(p, off)
		}
	}
	offs := make([]int64, w.Ops)
	for i := range offs {
		offs[i] = random.Int63n((size-piece)>>12) << 12
	}
	buffers := make([][piece]byte, w.Goroutines)
	w.measure(t, func(g, i int) { r.MustReadAt(buffers[g][:], offs[i]) })
}
