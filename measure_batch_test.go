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

// roadsTaken returns a proof: the roads that e's operations have taken since.
func roadsTaken(e *ringfile.Engine) func() string {
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
				measure.Side{Name: "errgroup, ringfile", Prepare: m.prepare, Run: m.run(m.group(m.many.ReadAt)), Proof: roadsTaken(many)},
				measure.Side{Name: "Batch", Prepare: m.prepare, Run: m.run(m.batch), Proof: roadsTaken(one)},
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

// TestMeasureChain appends durably, and reads small files: by calls of os, by calls of ringfile, and
// by chains.
func TestMeasureChain(t *testing.T) {
	dir := measure.Dir(t)
	measure.Header()
	for _, workers := range []int{1, 8} {
		measureAppend(t, dir, fmt.Sprintf("append 4 KiB + fdatasync, buffered, %d goroutines", workers), 0, workers)
		measureAppend(t, dir, fmt.Sprintf("append 4 KiB + fdatasync, direct, %d goroutines", workers), oDirect, workers)
	}
	for _, workers := range []int{1, 8, 64} {
		measureSmall(t, dir, workers)
	}
}

// workersDo has workers do n operations each.
func workersDo(workers, n int, do func(worker, i int) error) (int, error) {
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			for i := range n {
				if err := do(w, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers * n, g.Wait()
}

func measureAppend(t *testing.T, dir, cell string, direct, workers int) {
	const each = 40
	calls, chains := measureEngine(t), measureEngine(t)
	bufs := make([][]byte, workers)
	cs := make([]ringfile.Chain, workers)
	plain := make([]*os.File, workers)
	byCalls, byChains := make([]*ringfile.File, workers), make([]*ringfile.File, workers)
	for w := range workers {
		bufs[w] = ringfile.AlignedBuffer(4096, 4096)
		name := filepath.Join(dir, fmt.Sprintf("ringfile-append-%d", w))
		t.Cleanup(func() { os.Remove(name) })
		flag := os.O_RDWR | os.O_CREATE | direct
		var err [3]error
		plain[w], err[0] = os.OpenFile(name, flag, 0o644)
		byCalls[w], err[1] = calls.OpenFile(name, flag, 0o644)
		byChains[w], err[2] = chains.OpenFile(name, flag, 0o644)
		for _, err := range err {
			if err != nil {
				t.Fatal(err)
			}
		}
		defer plain[w].Close()
		defer byCalls[w].Close()
		defer byChains[w].Close()
	}
	truncate := func() error {
		for _, f := range plain {
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		return nil
	}
	measure.Compare(t, cell,
		measure.Side{Name: "os.File, fdatasync", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				if _, err := plain[w].WriteAt(bufs[w], int64(i)*4096); err != nil {
					return err
				}
				return datasync(plain[w])
			})
		}},
		measure.Side{Name: "ringfile calls", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				if _, err := byCalls[w].WriteAt(bufs[w], int64(i)*4096); err != nil {
					return err
				}
				return byCalls[w].Datasync()
			})
		}, Proof: roadsTaken(calls)},
		measure.Side{Name: "Chain", Prepare: truncate, Run: func() (int, error) {
			return workersDo(workers, each, func(w, i int) error {
				c := &cs[w]
				c.Reset()
				c.WriteAt(byChains[w], bufs[w], int64(i)*4096)
				c.Datasync(byChains[w])
				return c.Run()
			})
		}, Proof: roadsTaken(chains)},
	)
}

func measureSmall(t *testing.T, dir string, workers int) {
	const files = 256
	calls, chains := measureEngine(t), measureEngine(t)
	sub := filepath.Join(dir, "ringfile-small")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sub) })
	names := make([]string, files)
	for i := range names {
		names[i] = filepath.Join(sub, fmt.Sprint(i))
		if err := os.WriteFile(names[i], make([]byte, 4000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bufs := make([][]byte, workers)
	for w := range bufs {
		bufs[w] = make([]byte, 8192)
	}
	side := func(name string, proof func() string, read func(w int, name string) error) measure.Side {
		return measure.Side{Name: name, Proof: proof, Run: func() (int, error) {
			return workersDo(workers, 2048/workers, func(w, i int) error {
				return read(w, names[(w*37+i)%files])
			})
		}}
	}
	measure.Compare(t, fmt.Sprintf("read files of 4 KB, cached, %d goroutines", workers),
		side("os.ReadFile", nil, func(w int, name string) error {
			_, err := os.ReadFile(name)
			return err
		}),
		side("os.Open, Read, Close", nil, func(w int, name string) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Read(bufs[w])
			return err
		}),
		side("ringfile.ReadFile", roadsTaken(calls), func(w int, name string) error {
			_, err := calls.ReadFile(name)
			return err
		}),
		side("ReadFileInto", roadsTaken(chains), func(w int, name string) error {
			_, err := chains.ReadFileInto(name, bufs[w])
			return err
		}),
	)
}
