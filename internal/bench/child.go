package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/ringfile/ringfile"
)

// Go's threads do not end, so a process shows the peak of all that it has ever done. Each cell is
// therefore measured by two processes of its own, one for each implementation: they are this
// program, started again. They talk JSON: the parent writes a childSetup and then a childPiece
// whenever it is the child's turn; the child answers each with a childAnswer, and ends when its
// input does.

type childSetup struct {
	Dir     string   `json:"dir"`
	Devices []string `json:"devices,omitempty"`
	Slow    string   `json:"slow,omitempty"`
	Size    int64    `json:"size"`
	Cell    Cell     `json:"cell"`
	Ring    bool     `json:"ring"`
	Spins   float64  `json:"spins_per_us"`
}

type childPiece struct {
	Time time.Duration `json:"time_ns"`
}

type childAnswer struct {
	Sample     Sample `json:"sample"`
	Error      string `json:"error,omitempty"`
	NotEvicted bool   `json:"not_evicted,omitempty"`
	NoDirect   bool   `json:"no_direct,omitempty"`
	Cell       string `json:"cell,omitempty"` // to a childSetup: what it is about to measure
}

func answer(s Sample, err error) childAnswer {
	a := childAnswer{Sample: s, NotEvicted: errors.Is(err, ErrNotEvicted), NoDirect: errors.Is(err, ErrNoDirect)}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (a childAnswer) err() error {
	switch {
	case a.NotEvicted:
		return ErrNotEvicted
	case a.NoDirect:
		return ErrNoDirect
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

// manyGoroutines is from where on os.File may need more threads than the 10,000 at which a Go
// program ends itself. Both sides may then have more, to see what it would take.
const manyGoroutines = 5000

// ServePieces is what a child does.
func ServePieces(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var setup childSetup
	if err := dec.Decode(&setup); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	if setup.Spins > 0 {
		setSpinsPerMicro(setup.Spins)
	}
	if setup.Cell.Goroutines >= manyGoroutines {
		debug.SetMaxThreads(20_000)
	}
	session, done, err := setup.open()
	a := answer(Sample{}, err)
	a.Cell = setup.Cell.String()
	if err := enc.Encode(a); err != nil {
		return err
	}
	if err != nil {
		return nil // the parent knows
	}
	defer done()
	for {
		var p childPiece
		if err := dec.Decode(&p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := enc.Encode(answer(session.Piece(Limit{Time: p.Time}))); err != nil {
			return err
		}
	}
}

func (setup childSetup) open() (*Session, func(), error) {
	var engine *ringfile.Engine
	if setup.Ring {
		var err error
		if engine, err = ringfile.New(ringfile.Config{}); err != nil {
			return nil, nil, err
		}
	}
	b := Attach(setup.Dir, setup.Size, engine)
	b.Devices, b.Slow = setup.Devices, setup.Slow
	s, err := b.Open(setup.Cell, setup.Ring)
	if err != nil {
		if engine != nil {
			engine.Close()
		}
		return nil, nil, err
	}
	return s, func() {
		s.Close()
		if engine != nil {
			engine.Close()
		}
	}, nil
}

// childTimeout is how long a piece may take, its preparation included: no device is that slow.
const childTimeout = 2 * time.Minute

// child is a running child, seen from the parent.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	enc    *json.Encoder
	dec    *json.Decoder
	stderr *head
	waited bool
}

// StartChildren returns a Runner.Start that runs argv for each side of each cell of b; argv must
// lead to ServePieces.
func StartChildren(b *Bench, argv []string) func(ctx context.Context, c Cell, useRing bool) (Piecer, error) {
	spins := SpinsPerMicro()
	return func(ctx context.Context, c Cell, useRing bool) (Piecer, error) {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.WaitDelay = 5 * time.Second
		ch := &child{cmd: cmd, stderr: new(head)}
		cmd.Stderr = ch.stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		ch.in, ch.enc, ch.dec = in, json.NewEncoder(in), json.NewDecoder(out)
		a, err := ch.ask(childSetup{b.Dir, b.Devices, b.Slow, b.Size, c, useRing, spins})
		if err == nil && (c.Beside != "" || c.Devices > 0) && a.Cell != c.String() {
			// An older build passes over what it does not know.
			err = fmt.Errorf("this build does not know %s", c)
		}
		if err != nil {
			ch.Close()
			return nil, err
		}
		return ch, nil
	}
}

// Piece has the child measure a piece.
func (ch *child) Piece(l Limit) (Sample, error) {
	a, err := ch.ask(childPiece{Time: l.Time})
	return a.Sample, err
}

func (ch *child) ask(question any) (a childAnswer, err error) {
	if ch.waited {
		return a, os.ErrProcessDone
	}
	err = ch.enc.Encode(question)
	if err == nil {
		watchdog := time.AfterFunc(childTimeout, func() {
			fmt.Fprintf(ch.stderr, "panic: no answer within %v\n", childTimeout)
			ch.cmd.Process.Kill()
		})
		err = ch.dec.Decode(&a)
		watchdog.Stop()
	}
	if err != nil {
		return a, ch.died(err)
	}
	return a, a.err()
}

// died says how the child ended.
func (ch *child) died(err error) error {
	ch.waited = true
	ch.in.Close()
	if ended := ch.cmd.Wait(); ended != nil {
		err = ended
	}
	return fmt.Errorf("the program died: %w: %s", err, ch.stderr.reason())
}

// Close ends the child.
func (ch *child) Close() error {
	if ch.waited {
		return nil
	}
	ch.waited = true
	ch.in.Close()

	return ch.cmd.Wait()
}

// head keeps the beginning of what a child writes to stderr: the reason of its death.
type head struct {
	mu   sync.Mutex
	text []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := 8<<10 - len(h.text); room > 0 {
		h.text = append(h.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// reason returns the line that says what happened.
func (h *head) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := ""
	for line := range strings.Lines(string(bytes.TrimSpace(h.text))) {
		line = strings.TrimSpace(line)
		if first == "" {
			first = line
		}
		if strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "panic:") {
			return line
		}
	}
	return first
}
