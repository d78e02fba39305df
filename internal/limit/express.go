package limit

import (
	"sync"
	"sync/atomic"

	"github.com/ringfile/ringfile/internal/count"
)

// Express is a small number of permits for calls that as a rule take less than a microsecond, where each atomic
// operation shows. Two of them, Enter and Leave, are the permit, a reference to what the call uses, and the count of
// the calls and of the bytes that they moved.
//
// A call announces in a place which file it uses, by number, before it looks whether the file has been closed; who
// closes a file looks for its number after having said so (the protocol of hazard pointers). So one of them sees
// the other.
//
// A goroutine that loses its P during a call keeps its place until it goes on: where more goroutines make short calls
// than there are processors, most of them have one.
type Express struct {
	places  []place       // a power of two of them
	awaited atomic.Uint64 // the bits of the numbers in waits

	mu         sync.Mutex
	ops, bytes uint64 // moved here from the places
	waits      []*Wait
}

// Init gives x n places, a power of two.
func (x *Express) Init(n int) { x.places = make([]place, n) }

// place has in its word the number of the file that a call in progress uses, 0 if it is free, and above that what calls
// from here have done.
type place struct {
	word atomic.Uint64
	seen int64 // when Oldest first met the call, if seenBit says so; guarded by mu
	_    [48]byte
}

// The parts of a word: a number, operations, bytes, and a bit that Oldest sets and the end of the call clears.
const (
	idBits    = 20
	opBits    = 9
	byteShift = idBits + opBits
	byteBits  = 34

	idMask   = 1<<idBits - 1
	oneOp    = 1 << idBits
	opMask   = (1<<opBits - 1) << idBits
	byteMask = (1<<byteBits - 1) << byteShift
	halfFull = 1<<(byteShift-1) | 1<<(byteShift+byteBits-1)
	seenBit  = 1 << 63

	largeOp = 1 << (byteBits - 1) // bytes, that do not go into a word
)

// Wait is somebody who waits until no call uses a file.
type Wait struct {
	id   uint32
	gone func()
}

// ID makes the number of a file out of any number. The odd number that follows is the file's, too: for calls that others
// wait for than those that close it. Files that share a number, every 524,287th, have who waits for one wait for both.
func ID(n uint32) uint32 { return 2 * (n%(idMask>>1) + 1) }

// Ticket is the right to make a call.
type Ticket struct {
	place *place // nil if there was none
	word  uint64 // of the place, without the number
	id    uint32
}

// OK reports whether there was a place.
func (t Ticket) OK() bool { return t.place != nil }

// Enter takes a place for a call that uses a file, if there is one nearby.
func (x *Express) Enter(id uint32) Ticket {
	at := count.Spread(len(x.places))
	for i := range 4 {
		p := &x.places[(at+i)&(len(x.places)-1)]
		if w := p.word.Load(); w&idMask == 0 && p.word.CompareAndSwap(w, w|uint64(id)) {
			return Ticket{p, w, id}
		}
	}
	return Ticket{}
}

// Leave gives the place back. If the call counts, it has moved n bytes.
func (x *Express) Leave(t Ticket, counts bool, n int) {
	switch w := t.word + oneOp + uint64(n)<<byteShift; {
	case !counts:
		t.place.word.Store(t.word)
	case w&halfFull == 0 && uint64(n) < largeOp:
		t.place.word.Store(w)
	default:
		x.settle(t, n)
	}
	if x.awaited.Load()&bit(t.id) != 0 {
		x.tell(t.id)
	}
}

func bit(id uint32) uint64 { return 1 << (id & 63) }

// settle is what Leave does if the numbers of a call do not go into the word.
func (x *Express) settle(t Ticket, n int) {
	x.mu.Lock()
	x.ops += t.word&opMask>>idBits + 1
	x.bytes += t.word&byteMask>>byteShift + uint64(n)
	t.place.word.Store(0)
	x.mu.Unlock()
}

// Await has gone called once, when no call uses the file: now, or by the last that does. The caller has made
// sure that calls that begin from now on find it closed.
func (x *Express) Await(id uint32, gone func()) *Wait {
	w := &Wait{id, gone}
	x.mu.Lock()
	x.waits = append(x.waits, w)
	x.awaited.Or(bit(id))
	x.mu.Unlock()
	if !x.Uses(id) && x.Forget(w) { // the last one may have left before it could see that
		gone()
	}
	return w
}

// Forget ends a wait. It returns false if what was to be called has been, or is being called.
func (x *Express) Forget(w *Wait) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.take(func(other *Wait) bool { return other == w })) > 0
}

// tell calls who waits for a file, if no call uses it.
func (x *Express) tell(id uint32) {
	var gone []*Wait
	x.mu.Lock()
	if !x.Uses(id) {
		gone = x.take(func(w *Wait) bool { return w.id == id })
	}
	x.mu.Unlock()
	for _, w := range gone {
		w.gone()
	}
}

// take takes some out of waits. mu is held.
func (x *Express) take(which func(*Wait) bool) (taken []*Wait) {
	rest, bits := x.waits[:0], uint64(0)
	for _, w := range x.waits {
		if which(w) {
			taken = append(taken, w)
		} else {
			rest, bits = append(rest, w), bits|bit(w.id)
		}
	}
	clear(x.waits[len(rest):])
	x.waits = rest
	x.awaited.Store(bits)
	return taken
}

// Waiting returns how many wait.
func (x *Express) Waiting() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.waits)
}

// Uses reports whether a call uses the file.
func (x *Express) Uses(id uint32) bool {
	for i := range x.places {
		if x.places[i].word.Load()&idMask == uint64(id) {
			return true
		}
	}
	return false
}

// Running returns how many calls are in progress.
func (x *Express) Running() (n int) {
	for i := range x.places {
		if x.places[i].word.Load()&idMask != 0 {
			n++
		}
	}
	return n
}

// Count returns how many operations there were, and the bytes.
func (x *Express) Count() (ops, bytes uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	ops, bytes = x.ops, x.bytes
	for i := range x.places {
		w := x.places[i].word.Load()
		ops += w & opMask >> idBits
		bytes += w & byteMask >> byteShift
	}
	return ops, bytes
}

// Oldest returns since when the oldest call is known to be in progress, or now: it asks no clock of the calls, so each
// counts from the first Oldest that meets it.
func (x *Express) Oldest(now int64) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	oldest := now
	for i := range x.places {
		p := &x.places[i]
		switch w := p.word.Load(); {
		case w&idMask == 0:
		case w&seenBit != 0:
			oldest = min(oldest, p.seen)
		case p.word.CompareAndSwap(w, w|seenBit):
			p.seen = now
		}
	}
	return oldest
}
