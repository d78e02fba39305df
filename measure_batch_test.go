package ringfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
)

// measureFile makes a file of n bytes in the directory to measure in.
func measureFile(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(measure.Dir(t), "ringfile-measure")
	t.Cleanup(func() { os.Remove(name) })
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i >> 8)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	evict(t, name) // on the device, too
	return name
}

// routesTaken returns a proof: the routes that e's operations have taken since.
func routesTaken(e *ringfile.Engine) func() string {
	before := e.Stats()
	return func() string {
		s := e.Stats()
		ring := s.Ring - before.Ring
		return fmt.Sprintf("cached %d, ring %d, blocking %d, %.2f enters a request", s.Cached-before.Cached, ring,
			s.Blocking-before.Blocking, float64(s.Enters-before.Enters)/float64(max(ring, 1)))
	}
}

// measureEngine makes an engine with everything at its default.
func measureEngine(t *testing.T) *ringfile.Engine {
	t.Helper()
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// TestMeasureBatch reads many places of a file, one batch after the other: by a loop of os.File, by
// goroutines, and by a Batch.
func TestMeasureBatch(t *testing.T) {
	const size = 128 << 20
	name := measureFile(t, size)
	measure.Header()
	for _, kind := range []string{"cached", "cold", "direct"} {
		flag := os.O_RDONLY
		if kind == "direct" {
			flag |= oDirect
		}
		plain, err := os.OpenFile(name, flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		for _, n := range []int{8, 32, 256} {
			m := &batchMeasure{kind: kind, name: name, n: n, plain: plain, rounds: max(2, 768/n)}
			if kind == "cached" {
				m.rounds *= 8
			}
			for range n {
				m.bufs = append(m.bufs, ringfile.AlignedBuffer(4096, 4096))
				m.offs = append(m.offs, 0)
			}
			many, one := measureEngine(t), measureEngine(t)
			var err1, err2 error
			m.many, err1 = many.OpenFile(name, flag, 0)
			m.one, err2 = one.OpenFile(name, flag, 0)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			defer m.many.Close()
			defer m.one.Close()
			measure.Compare(t, fmt.Sprintf("%s, %d ranges", kind, n),
				measure.Side{Name: "loop of os.File.ReadAt", Prepare: m.prepare, Run: m.run(m.loop)},
				measure.Side{Name: "errgroup, os.File", Prepare: m.prepare, Run: m.run(m.group(m.plain.ReadAt))},
				measure.Side{Name: "errgroup, ringfile", Prepare: m.prepare, Run: m.run(m.group(m.many.ReadAt)), Proof: routesTaken(many)},
				measure.Side{Name: "Batch", Prepare: m.prepare, Run: m.run(m.batch), Proof: routesTaken(one)},
			)
		}
	}
}

type batchMeasure struct {
	kind, name string
	n, rounds  int
	plain      *os.File
	many, one  *ringfile.File
	bufs       [][]byte
	offs       []int64
	b          ringfile.Batch
}

func (m *batchMeasure) prepare() error {
	switch m.kind {
	case "cold":
		return evictFile(m.plain)
	case "cached":
		_, err := os.ReadFile(m.name)
		return err
	}
	return nil
}

// run repeats a batch at other places each time.
func (m *batchMeasure) run(batch func() error) func() (int, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	return func() (int, error) {
		for range m.rounds {
			for i := range m.offs {
				m.offs[i] = rng.Int64N(128<<20/4096) * 4096
			}
			if err := batch(); err != nil {
				return 0, err
			}
		}
		return m.rounds * m.n, nil
	}
}

func (m *batchMeasure) loop() error {
	for i, buf := range m.bufs {
		if _, err := m.plain.ReadAt(buf, m.offs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *batchMeasure) group(readAt func([]byte, int64) (int, error)) func() error {
	return func() error {
		var g errgroup.Group
		for i, buf := range m.bufs {
			g.Go(func() error {
				_, err := readAt(buf, m.offs[i])
				return err
			})
		}
		return g.Wait()
	}
}

func (m *batchMeasure) batch() error {
	m.b.Reset()
	for i, buf := range m.bufs {
		m.b.ReadAt(m.one, buf, m.offs[i])
	}
	return m.b.Run()
}
