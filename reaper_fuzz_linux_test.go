package ringfile

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// numbers reads what a fuzzer decides.
type numbers struct{ data []byte }

// next reads n bytes as a number; zeros stand for what is missing.
func (s *numbers) next(n int) uint64 {
	var raw [8]byte
	k := copy(raw[:n], s.data)
	s.data = s.data[k:]
	return binary.LittleEndian.Uint64(raw[:])
}

// outcome is what a request comes to.
type outcome struct {
	request
	id    uint64
	count int // how often it was completed
}

func (o *outcome) complete(*request) { o.count++ }

// completions is a queue without a kernel, and what is known of its requests.
type completions struct {
	*queue
	kernel   *uring.Fake
	file     descriptor
	inFlight map[uint64]*outcome
	all      []*outcome
	line     []*outcome // those that wait for a slot
	ids      []uint64   // that were ever in use
	unknown  uint64
}

func newCompletions(t *testing.T) *completions {
	c := &completions{inFlight: make(map[uint64]*outcome)}
	u, kernel, err := uring.NewFake(32, 32, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.kernel = kernel
	if c.queue, err = newQueue(u, 16, new(count.Counter)); err != nil {
		t.Fatal(err)
	}
	c.state, c.submitter.running = running, true // nobody is woken: completions are handed to it by hand
	return c
}

// take has the kernel take what is submitted.
func (c *completions) take() {
	for ok := true; ok; {
		_, ok = c.kernel.TakeSQE()
	}
}

// begin starts a request.
func (c *completions) begin(code opcode, length int) {
	op := operation{code: code, desc: &c.file, once: length%5 == 0}
	if code.moves() {
		op.buf = make([]byte, length)
		if code == opReadv || code == opWritev {
			op.buf, op.vec = nil, [][]byte{make([]byte, length/2), make([]byte, length-length/2)}
		}
	}
	o := new(outcome)
	o.reset(&op, 0)
	o.to = o
	c.submit(&o.request)
	c.take()
	c.all = append(c.all, o)
	c.line = append(c.line, o)
	c.launched()
}

// launched takes note of those that have left the line.
func (c *completions) launched() {
	for len(c.line) > 0 && (c.line[0].slot != nil || c.line[0].count > 0) {
		o := c.line[0]
		c.line = c.line[1:]
		if o.slot != nil {
			o.id = o.slot.id()
			c.inFlight[o.id] = o
			c.ids = append(c.ids, o.id)
		}
	}
}

// arrive hands a completion to the queue.
func (c *completions) arrive(t *testing.T, id uint64, res int32) {
	o, known := c.inFlight[id]
	if id == idCancel {
		known = c.cancels > 0
	}
	if !known {
		c.unknown++
	}
	c.arrived(&uring.CQE{UserData: id, Res: res})
	c.refill()
	c.tell()
	c.take()
	if got := c.queue.stats.unknown; got != c.unknown {
		t.Fatalf("completion %#x, in flight %v: %d unknown ones, want %d", id, known, got, c.unknown)
	}
	if o != nil && o.count > 0 {
		delete(c.inFlight, id)
	}
	c.launched()
}

// FuzzCompletions lets the fuzzer start and cancel requests, and answer with any user_data and any
// result: those of requests in flight, of earlier ones, of none. Each request must come to one
// outcome, which makes sense; everything else must be counted and dropped.
func FuzzCompletions(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x01\x00\x00\x10\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01\xff\x00\x04\x00\x05\x05\x05\x01\x00\x83\xff\xff\xff\x03\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x06\x07\x08\x06\x17\x18\x01\x00\xff\xff\xff\x7f\x01\x00\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer testutil.Watchdog(t, time.Minute)()
		c, s := newCompletions(t), &numbers{data[:min(len(data), 4096)]}
		for len(s.data) > 0 {
			switch s.next(1) % 7 {
			case 0:
				c.begin(opcode(s.next(1))%(opAdvise+1), int(s.next(1)))
			case 1: // a request in flight, or none any more
				if len(c.ids) > 0 {
					id := c.ids[int(s.next(1))%len(c.ids)]
					c.arrive(t, id, int32(s.next(4)))
				}
			case 2: // anything
				c.arrive(t, s.next(8), int32(s.next(4)))
			case 3: // nearly a request
				if len(c.ids) > 0 {
					id := c.ids[len(c.ids)-1]
					c.arrive(t, id^1<<(s.next(1)%64), int32(s.next(4)))
				}
			case 4:
				if o := c.inFlight[c.lastID()]; o != nil {
					c.cancel(&o.request, byCaller)
					c.take()
				}
			case 5:
				c.arrive(t, idCancel, int32(s.next(4)))
			case 6:
				if len(c.line) > 0 {
					c.cancel(&c.line[int(s.next(1))%len(c.line)].request, byCaller)
					c.launched()
				}
			}
		}
		c.end(t)
	})
}

func (c *completions) lastID() uint64 {
	if len(c.ids) == 0 {
		return 0
	}
	return c.ids[len(c.ids)-1]
}

// end lets everything fail that is still in flight, and looks at all outcomes.
func (c *completions) end(t *testing.T) {
	for len(c.inFlight) > 0 {
		for id := range c.inFlight {
			c.arrive(t, id, -int32(syscall.EIO))
		}
	}
	for c.cancels > 0 {
		c.arrive(t, idCancel, 0)
	}
	for i, o := range c.all {
		if o.count != 1 || o.n < 0 || o.n > o.total {
			t.Errorf("request %d of %d bytes: %d outcomes, %d bytes, %v", i, o.total, o.count, o.n, o.errno)
		}
	}
	if !c.quiet() || len(c.slots.free) != len(c.slots.all) {
		t.Errorf("%d of %d slots are free, %d requests in flight", len(c.slots.free), len(c.slots.all), c.queue.inFlight.Load())
	}
	c.state, c.submitter.running = idle, false
	c.refuse()
	if n := c.close(time.Minute); n != 0 {
		t.Errorf("%d requests in flight at the end", n)
	}
}

// FuzzSettle gives a request one result after the other. It must move on by what it was told, never
// beyond its end, and not try for ever.
func FuzzSettle(f *testing.F) {
	f.Add(uint8(0), uint16(100), uint8(0), []byte{10, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(1), uint16(4096), uint8(1), []byte{0xfc, 0xff, 0xff, 0xff, 0xf5, 0xff, 0xff, 0xff})
	f.Add(uint8(4), uint16(0), uint8(4), []byte{0, 0, 0, 0x80})
	f.Fuzz(func(t *testing.T, code uint8, total uint16, how uint8, results []byte) {
		req := &request{operation: operation{code: opcode(code) % (opAdvise + 1), once: how&32 != 0}}
		moves := req.code.moves()
		if moves {
			req.buf = make([]byte, total)
			req.total = int(total)
		}
		req.why = cause(how % 5)
		wanted := req.why == notCancelled
		idle := 0
		for s := (&numbers{results}); len(s.data) > 0; {
			before, res := req.n, int32(s.next(4))
			again := req.settle(res)
			gained := req.n - before
			if gained < 0 || req.n > req.total || gained > 0 && gained != int(res) {
				t.Fatalf("%d of %d bytes after %d and a result of %d", req.n, req.total, before, res)
			}
			if idle++; gained > 0 {
				idle = 0
			}
			if !again {
				if res < 0 && req.errno == 0 {
					t.Fatalf("the result %d is no error", res)
				}
				if moves && res > 0 && gained == 0 && req.errno == 0 {
					t.Fatalf("%d bytes have been moved and do not count", res)
				}
				return
			}
			if !wanted || idle > maxTries || req.n == req.total && res > 0 {
				t.Fatalf("tried again after %d, with %d of %d bytes, wanted %v, %d times in vain", res, req.n, req.total, wanted, idle)
			}
		}
	})
}
