package bench

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

func newBench(t *testing.T, size int64) *Bench {
	t.Helper()
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(t.TempDir(), size, e)
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		e.Close()
	})
	return b
}

func TestServePieces(t *testing.T) {
	b := newBench(t, 1<<20)
	in, toChild := io.Pipe()
	fromChild, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- ServePieces(in, out) }()
	enc, dec := json.NewEncoder(toChild), json.NewDecoder(fromChild)
	ask := func(q any) (a childAnswer) {
		t.Helper()
		if err := enc.Encode(q); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	c := Cell{Op: RandRead, Mode: Cached, Block: 4096, Goroutines: 2}
	if a := ask(childSetup{Dir: b.Dir, Size: b.Size, Cell: c, Ring: true, Spins: SpinsPerMicro()}); a.err() != nil {
		t.Fatal(a.err())
	}
	for range 2 {
		a := ask(childPiece{Time: 2 * time.Millisecond})
		if a.err() != nil || a.Sample.Ops == 0 || a.Sample.Routes == (Routes{}) {
			t.Errorf("got %+v", a)
		}
	}
	toChild.Close()
	if err := <-ended; err != nil {
		t.Errorf("at the end: %v", err)
	}
}

func TestServePiecesRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no JSON", "nonsense", "setup"},
		{"nothing", "", "setup"},
	} {
		if err := ServePieces(strings.NewReader(c.in), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	var out strings.Builder
	if err := ServePieces(strings.NewReader(`{"dir":"does-not-exist","size":4096,"cell":{"op":"randread","mode":"cached","block":4096,"goroutines":1}}`), &out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "does-not-exist") {
		t.Errorf("the parent is told %q", out.String())
	}
}

func TestChildDies(t *testing.T) {
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	start := StartChildren(&Bench{Dir: t.TempDir()}, []string{path, "-c", "echo noise >&2; echo 'fatal error: thread exhaustion' >&2; exit 2"})
	_, err = start(t.Context(), Cell{}, false)
	if err == nil || !strings.Contains(err.Error(), "the program died: exit status 2: fatal error: thread exhaustion") {
		t.Errorf("got %v", err)
	}
}

// A build from before cells had something beside them would measure without it, and say nothing.
func TestOlderChild(t *testing.T) {
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	start := StartChildren(&Bench{Dir: t.TempDir()}, []string{path, "-c", "echo '{}'; cat >/dev/null"})
	for _, c := range []struct {
		cell  Cell
		knows bool
	}{{Cell{Op: RandRead}, true}, {Cell{Op: RandRead, Beside: Computing}, false}, {Cell{Op: RandRead, Devices: 1}, false}} {
		p, err := start(t.Context(), c.cell, true)
		if (err == nil) != c.knows {
			t.Errorf("%s: got %v", c.cell, err)
		}
		if p != nil {
			p.Close()
		}
	}
}
