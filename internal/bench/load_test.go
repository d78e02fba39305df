package bench

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

const statText = `cpu  100 20 300 4000 500 60 70 8 90 10
cpu0 50 10 150 2000 250 30 35 4 45 5
cpu1 50 10 150 2000 250 30 35 4 45 5
intr 12345 0 9
ctxt 678
`

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		text       string
		busy       time.Duration
		processors int
	}{
		{statText, 4280 * time.Millisecond, 2}, // user, nice, system and steal
		{"", 0, 0},
		{"cpu\ncpu0\n\n", 0, 1},
		{"cpu x 1 2\n", 30 * time.Millisecond, 0},
	} {
		if busy, n := parseStat(c.text); busy != c.busy || n != c.processors {
			t.Errorf("%q: got %v, %d, want %v, %d", c.text, busy, n, c.busy, c.processors)
		}
	}
}

func TestDisturbance(t *testing.T) {
	side := func(seconds float64, others ...float64) *Side {
		s := new(Side)
		for _, o := range others {
			s.Samples = append(s.Samples, Sample{Seconds: seconds, Others: o})
		}
		return s
	}
	const half = "something else kept 0.5 of 2 processors busy meanwhile"
	for _, c := range []struct {
		name       string
		processors int
		sides      []*Side
		want       string
	}{
		{"quiet", 2, []*Side{side(0.2, 0.05, 0, -0.04), side(0.2, 0, 0.1)}, ""},
		{"one side", 2, []*Side{side(0.2, 0, 0), side(0.2, 1, 1)}, half},
		{"both", 2, []*Side{side(0.2, 0.5, 0.5), side(0.2, 0.5, 0.5)}, half},
		{"many processors", 16, []*Side{side(0.2, 0.5, 0.5), side(0.2, 0.5, 0.5)}, ""},
		{"one of one", 1, []*Side{side(1, 0.25)}, "something else kept 0.2 of 1 processor busy meanwhile"},
		{"a few ticks", 2, []*Side{side(0.005, 2, 2), side(0.005, 2, 2)}, ""},
		{"nothing measured", 2, []*Side{new(Side), new(Side)}, ""},
		{"not known", 0, []*Side{side(0.2, 0, 0)}, ""},
	} {
		if got := disturbance(c.processors, c.sides...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestOthers has another process compute while a piece is measured, and this one while none is.
func TestOthers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc/stat is of Linux")
	}
	if Processors() == 0 {
		t.Fatal("/proc/stat lists no processor")
	}
	b, err := Create(t.TempDir(), 1<<20, nil, func(int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := b.Open(Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Skipf("there is no sh to keep a processor busy: %v", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	sample, err := s.Piece(Limit{Time: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// On a machine with one processor, the two share it.
	if got := disturbance(Processors(), &Side{Samples: []Sample{sample}}); sample.Others < 0.2 ||
		Processors() <= 2 && !strings.HasPrefix(got, "something else kept ") {
		t.Errorf("got %.2f processors, %q", sample.Others, got)
	}
	// What is measured does not count: all that the machine did is what this process did, and others.
	if sample.Others > float64(Processors()) {
		t.Errorf("got %.2f of %d processors", sample.Others, Processors())
	}
}

// TestOwnTime checks that processor time of those who are measured is no disturbance.
func TestOwnTime(t *testing.T) {
	if Processors() == 0 {
		t.Skip("not known on this system")
	}
	m := startMeter()
	time.Sleep(20 * time.Millisecond)
	without, with := m.others(0), m.others(time.Second)
	if with > without-10 {
		t.Errorf("with a second of its own within moments: got %.1f, without it %.1f", with, without)
	}
}
