package limit

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

const expressPlaces = 16

// TestExpressCounts has calls count all that they did, in whatever portions it comes.
func TestExpressCounts(t *testing.T) {
	var x Express
	x.Init(expressPlaces)
	var ops, bytes atomic.Uint64
	var each sync.WaitGroup
	for id := range uint32(8) {
		each.Go(func() {
			for i := range 5000 {
				ticket := x.Enter(id + 1)
				if !ticket.OK() {
					continue
				}
				n := rand.IntN(1 << 20)
				if i%100 == 0 && ^uint(0)>>32 != 0 {
					n <<= 14 // beyond what a word has room for
				}
				counts := i%7 != 0
				if counts {
					ops.Add(1)
					bytes.Add(uint64(n))
				}
				x.Leave(ticket, counts, n)
				if i%500 == 0 {
					if o, b := x.Count(); o > ops.Load() || b > bytes.Load() {
						t.Errorf("counted %d and %d bytes, more than there were", o, b)
					}
				}
			}
		})
	}
	each.Wait()
	if o, b := x.Count(); o != ops.Load() || b != bytes.Load() || o == 0 {
		t.Errorf("counted %d and %d bytes, want %d and %d", o, b, ops.Load(), bytes.Load())
	}
	if n := x.Running(); n != 0 {
		t.Errorf("%d calls in progress at the end", n)
	}
}

// TestExpressBound takes places until there are none: no more than there should be, and all come back.
func TestExpressBound(t *testing.T) {
	var x Express
	x.Init(expressPlaces)
	for range 3 {
		var taken []Ticket
		var mu sync.Mutex
		var each sync.WaitGroup
		for range 200 {
			each.Go(func() {
				if ticket := x.Enter(1); ticket.OK() {
					mu.Lock()
					taken = append(taken, ticket)
					mu.Unlock()
				}
			})
		}
		each.Wait()
		if n := x.Running(); n != len(taken) || n == 0 || n > expressPlaces {
			t.Fatalf("%d in progress of %d taken", n, len(taken))
		}
		for _, ticket := range taken {
			x.Leave(ticket, true, 0)
		}
		if n := x.Running(); n != 0 {
			t.Fatalf("%d in progress of none", n)
		}
	}
}

// TestExpressID has numbers that are even, not zero, and have room.
func TestExpressID(t *testing.T) {
	seen := make(map[uint32]bool)
	for n := range uint32(1 << 19) {
		id := ID(n)
		if id == 0 || id%2 != 0 || id+1 > idMask {
			t.Fatalf("ID(%d) is %d", n, id)
		}
		seen[id] = true
	}
	if len(seen) != 1<<19-1 {
		t.Errorf("%d different numbers", len(seen))
	}
	for _, n := range []uint32{1<<19 - 1, 1 << 31, 1<<32 - 1} {
		if !seen[ID(n)] {
			t.Errorf("ID(%d) is %d", n, ID(n))
		}
	}
}

// TestExpressAwait closes files while calls come and go, in the way that a File does: none is in progress when the
// files are gone, each goes once, also where files share a number or a bit of it.
func TestExpressAwait(t *testing.T) {
	type file struct {
		id           uint32
		closed, gone atomic.Bool
		using        atomic.Int32
	}
	var x Express
	x.Init(expressPlaces)
	for range 300 {
		files := make([]*file, 4)
		var goneAll, each sync.WaitGroup
		for i, id := range []uint32{1, 1, 65, 2} {
			files[i] = &file{id: id}
		}
		goneAll.Add(len(files))
		for g := range 8 {
			each.Go(func() {
				for i := range 200 {
					f := files[(g+i)%len(files)]
					ticket := x.Enter(f.id)
					if !ticket.OK() {
						continue
					}
					if f.closed.Load() {
						x.Leave(ticket, false, 0)
						continue
					}
					f.using.Add(1)
					if f.gone.Load() {
						t.Error("a file is in use that has gone")
					}
					f.using.Add(-1)
					x.Leave(ticket, true, 1)
				}
			})
		}
		for _, f := range files {
			each.Go(func() {
				f.closed.Store(true)
				x.Await(f.id, func() {
					if f.using.Load() != 0 || f.gone.Swap(true) {
						t.Error("a file goes that is in use, or that has gone")
					}
					goneAll.Done()
				})
			})
		}
		each.Wait()
		goneAll.Wait() // or hangs
		if x.awaited.Load() != 0 {
			t.Fatal("somebody is said to wait")
		}
	}
}

// TestExpressOldest has calls that are as old as since they were met first, also when another from the same place was
// met before.
func TestExpressOldest(t *testing.T) {
	var x Express
	x.Init(expressPlaces)
	ticket := x.Enter(1)
	if oldest := x.Oldest(10); oldest != 10 {
		t.Errorf("met at 10 first, and said to run since %d", oldest)
	}
	if oldest := x.Oldest(30); oldest != 10 {
		t.Errorf("running since %d, want 10", oldest)
	}
	x.Leave(ticket, true, 5)
	ticket = x.Enter(1)
	if oldest := x.Oldest(40); oldest != 40 {
		t.Errorf("the next one runs since %d, want 40", oldest)
	}
	x.Leave(ticket, true, 5)
	if oldest := x.Oldest(50); oldest != 50 {
		t.Errorf("with none running the oldest runs since %d", oldest)
	}
	if ops, bytes := x.Count(); ops != 2 || bytes != 10 {
		t.Errorf("%d calls and %d bytes, want 2 and 10", ops, bytes)
	}
}

// TestExpressForget has waits given up, while the call that they wait for ends: each is either told or forgotten.
func TestExpressForget(t *testing.T) {
	var x Express
	x.Init(expressPlaces)
	for range 2000 {
		ticket := x.Enter(2)
		var each sync.WaitGroup
		var told, forgotten atomic.Int32
		for range 3 {
			w := x.Await(2, func() { told.Add(1) })
			each.Go(func() {
				if x.Forget(w) {
					forgotten.Add(1)
				}
			})
		}
		x.Leave(ticket, true, 1)
		each.Wait()
		if told.Load()+forgotten.Load() != 3 || x.Waiting() != 0 {
			t.Fatalf("%d told, %d forgotten, %d wait", told.Load(), forgotten.Load(), x.Waiting())
		}
	}
	if told := false; x.Await(2, func() { told = true }) == nil || !told {
		t.Error("a wait for nobody was not told at once")
	}
}
