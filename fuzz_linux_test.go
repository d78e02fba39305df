package ringfile

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

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

// outcomes counts what a request comes to.
type outcomes struct {
	id    uint64
	total int
	req   *request // of a caller that waits; nil for a Future
	count int
	n     int
	errno syscall.Errno
}

func (o *outcomes) published(_ *request, id uint64) { o.id = id }

func (o *outcomes) fulfil(n int, errno syscall.Errno, _ cause) {
	o.count++
	o.n, o.errno = n, errno
}

// look takes what has arrived for a caller that waits.
func (o *outcomes) look(r *ring) {
	if o.req == nil {
		return
	}
	select {
	case <-o.req.done:
		o.fulfil(o.req.n, o.req.errno, notCancelled)
		r.release(o.req)
		o.req = nil
	default:
	}
}

// completions is a ring without a kernel, and what is known of its requests.
type completions struct {
	*ring
	kernel   *uring.Fake
	file     *File
	inFlight map[uint64]*outcomes
	all      []*outcomes
	ids      []uint64 // that were ever in use
	strays   uint64
}

func newCompletions(t *testing.T) *completions {
	c := &completions{inFlight: make(map[uint64]*outcomes)}
	u, kernel, err := uring.NewFake(32, 32, 0, 0, func(submit, _ uint32, _ uring.EnterFlags) (int, syscall.Errno, bool) {
		c.take()
		return int(submit), 0, true
	})
	if err != nil {
		t.Fatal(err)
	}
	c.kernel = kernel
	if c.ring, err = newRing(&Engine{tuning: tuned}, u, 16); err != nil {
		t.Fatal(err)
	}
	c.stance = awake // nobody waits: completions are handed to it by hand
	c.file = new(File)
	c.file.life.init()
	return c
}

// take has the kernel take what is submitted.
func (c *completions) take() {
	for ok := true; ok; {
		_, ok = c.kernel.TakeSQE()
	}
}

// begin starts a request, with a Future or a caller that waits.
func (c *completions) begin(code opcode, length int, waits bool) {
	if len(c.free) == 0 {
		return
	}
	op := operation{code: code, file: c.file, once: length%5 == 0}
	if code.reads() || code.writes() {
		op.buf = make([]byte, length)
	}
	o := &outcomes{total: len(op.buf)}
	if waits {
		o.req, _ = c.start(&op, 0, nil, false, nil, nil)
		o.id = c.slab.id(o.req)
	} else {
		c.start(&op, 0, o, false, nil, nil)
	}
	c.inFlight[o.id] = o
	c.all = append(c.all, o)
	c.ids = append(c.ids, o.id)
}

// arrive hands a completion to the ring.
func (c *completions) arrive(t *testing.T, id uint64, res int32) {
	o, known := c.inFlight[id]
	if id == idCancel {
		known = c.cancels > 0
	}
	if !known {
		c.strays++
	}
	c.complete(&uring.CQE{UserData: id, Res: res})
	c.take()
	if got := c.engine.stats.strays.load(); got != c.strays {
		t.Fatalf("completion %#x, in flight %v: %d strays, want %d", id, known, got, c.strays)
	}
	if o == nil {
		return
	}
	if o.look(c.ring); o.count > 0 {
		delete(c.inFlight, id)
	}
}

// FuzzCompletions lets the fuzzer start and cancel requests, and answer with any user_data and any
// result: those of requests in flight, of earlier ones, of none. Each request must come to one
// outcome, which makes sense; everything else must be counted and dropped.
func FuzzCompletions(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x01\x00\x00\x10\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01\xff\x00\x04\x00\x05\x05\x05\x01\x00\x83\xff\xff\xff\x03\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x06\x07\x08\x06\x17\x18\x01\x00\xff\xff\xff\x7f\x01\x00\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, s := newCompletions(t), &numbers{data[:min(len(data), 4096)]}
		for len(s.data) > 0 {
			switch op := s.next(1) % 7; op {
			case 0, 6:
				c.begin(opcode(s.next(1))%8, int(s.next(1)), op == 6)
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
				if o := c.inFlight[c.lastID()]; o != nil && c.cancels < 16 {
					c.cancel(c.slab.request(o.id), o.id, byCaller)
					c.take()
				}
			case 5:
				c.arrive(t, idCancel, int32(s.next(4)))
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
	for id := range c.inFlight {
		c.arrive(t, id, -int32(syscall.EIO))
	}
	for c.cancels > 0 {
		c.arrive(t, idCancel, 0)
	}
	for i, o := range c.all {
		if o.count != 1 || o.n < 0 || o.n > o.total {
			t.Errorf("request %d of %d bytes: %d outcomes, %d bytes, %v", i, o.total, o.count, o.n, o.errno)
		}
	}
	if len(c.free) != len(c.slab.slots) || c.ring.inFlight.Load() != 0 {
		t.Errorf("%d of %d slots are free, %d requests in flight", len(c.free), len(c.slab.slots), c.ring.inFlight.Load())
	}
	c.stance = unwatched
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
		req := &request{ring: new(ring), operation: operation{code: opcode(code) % 8, once: how&32 != 0}}
		moves := req.code.reads() || req.code.writes()
		if moves {
			req.buf = make([]byte, total)
			req.total = int(total)
		}
		req.cause.Store(uint32(how % 5))
		req.phase.Store(uint32(submitted))
		if how&16 != 0 {
			req.phase.Store(uint32(abandoned))
		}
		wanted := cause(how%5) == notCancelled && how&16 == 0
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
