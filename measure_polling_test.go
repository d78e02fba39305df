package ringfile_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/measure"
)

const (
	pollBlock  = 4096
	pollBlocks = 32 << 20 / pollBlock
)

// randomReads makes ops reads of a block from f at random places, in goroutines with a buffer each.
func randomReads(f io.ReaderAt, goroutines, ops int, buffer func() (buf []byte, done func())) (int, error) {
	var wg sync.WaitGroup
	errs := make(chan error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), rand.Uint64()))
			buf, done := buffer()
			defer done()
			for range ops / goroutines {
				if n, err := f.ReadAt(buf, rng.Int64N(pollBlocks)*pollBlock); n != pollBlock || err != nil {
					errs <- fmt.Errorf("read %d: %w", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return ops / goroutines * goroutines, nil
	}
}

func plainBuffer() ([]byte, func()) { return ringfile.AlignedBuffer(pollBlock, pollBlock), func() {} }

// proof says which route reads take from now on, and what they cost of system calls.
func proof(e *ringfile.Engine) func() string {
	before := e.Stats()
	return func() string {
		s := e.Stats()
		ops := max(s.Ring-before.Ring+s.Blocking-before.Blocking, 1)
		return fmt.Sprintf("ring %d%%, %.2f enters/op", 100*(s.Ring-before.Ring)/ops, float64(s.Enters-before.Enters)/float64(ops))
	}
}

// meter tells which side's reads an NVMe disk raised its interrupts for: the proof of polling.
type meter struct {
	reading *metered // since count was read
	count   int
}

// metered is what a side has done, the run that is not measured included.
type metered struct{ ops, interrupts int }

// turn charges the interrupts since the last turn to the side whose turn that was.
func (m *meter) turn(next *metered) {
	count := interrupts("nvme")
	if m.reading != nil {
		m.reading.interrupts += count - m.count
	}
	m.reading, m.count = next, count
}

// side meters the work of s, and adds the result to its proof where there is an NVMe disk.
func (m *meter) side(s measure.Side) measure.Side {
	run, proof, sum := s.Run, s.Proof, new(metered)
	s.Prepare = func() error {
		time.Sleep(30 * time.Millisecond) // the polling threads of the sides before sleep by then
		m.turn(sum)
		return nil
	}
	s.Run = func() (int, error) {
		n, err := run()
		sum.ops += n
		return n, err
	}
	s.Proof = func() string {
		m.turn(nil)
		var parts []string
		if proof != nil {
			parts = append(parts, proof())
		}
		if m.count > 0 {
			parts = append(parts, fmt.Sprintf("%.2f NVMe interrupts/op", float64(sum.interrupts)/float64(max(sum.ops, 1))))
		}
		return strings.Join(parts, ", ")
	}
	return s
}

// TestMeasurePolling compares O_DIRECT random reads through os.File, an engine, one in SQPOLL mode
// and, where the device can be polled, ones in IOPOLL mode and in both. The processor time of the
// polling thread is among that of the process. In a guest of the kernel matrix, an emulated machine
// whose disk can be polled, it is shorter.
func TestMeasurePolling(t *testing.T) {
	name := measureFile(t, pollBlocks*pollBlock)
	plain, err := os.OpenFile(name, os.O_RDONLY|oDirect, 0)
	if err != nil {
		t.Skip(err)
	}
	defer plain.Close()
	type engine struct {
		name string
		e    *ringfile.Engine
		f    *ringfile.File
	}
	var engines []engine
	for _, c := range []struct {
		name   string
		config ringfile.Config
	}{
		{"ringfile", ringfile.Config{}},
		{"ringfile SQPoll", ringfile.Config{SQPoll: &ringfile.SQPollConfig{}}},
		{"ringfile IOPoll", ringfile.Config{IOPoll: true}},
		{"ringfile SQPoll+IOPoll", ringfile.Config{SQPoll: &ringfile.SQPollConfig{}, IOPoll: true}},
	} {
		e, err := ringfile.New(c.config)
		if err != nil {
			t.Log(err)
			continue
		}
		defer e.Close()
		f, err := e.OpenFile(name, os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(ringfile.AlignedBuffer(pollBlock, pollBlock), 0); err != nil {
			if os.Getenv("KM_GUEST") != "" {
				t.Fatal(err)
			}
			t.Log(err) // the device has no poll queues
			continue
		}
		engines = append(engines, engine{c.name, e, f})
	}
	measure.Header()
	var m meter
	for _, goroutines := range []int{1, 8, 32, 128} {
		ops := 2000 + 80*min(goroutines, 64)
		if testing.Short() {
			ops /= 4
		}
		sides := []measure.Side{m.side(measure.Side{Name: "os.File", Run: func() (int, error) {
			return randomReads(plain, goroutines, ops, plainBuffer)
		}})}
		for _, x := range engines {
			sides = append(sides, m.side(measure.Side{Name: x.name, Proof: proof(x.e), Run: func() (int, error) {
				return randomReads(x.f, goroutines, ops, plainBuffer)
			}}))
		}
		measure.Compare(t, fmt.Sprintf("4 KiB random reads, %d goroutines", goroutines), sides...)
	}
}
