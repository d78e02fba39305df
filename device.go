package ringfile

import (
	"hash/maphash"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ringfile/ringfile/internal/count"
	"github.com/ringfile/ringfile/internal/limit"
	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/route"
	"github.com/ringfile/ringfile/uring"
)

// device is a file system, or a block device used without one: what is known about it, and everything
// that its users wait for. A device that hangs, or is full, delays its own users and nobody else.
type device struct {
	number  uint64
	all     *devices
	facts   facts
	closing func(*descriptor) // closeLater
	*lane
}

// facts is what is known about a device, learned from its results.
type facts struct {
	nowait route.Fact // whether it knows RWF_NOWAIT, without which a ring blocks kernel threads
	memory route.Fact // whether it has no device, so that a sync has nothing to wait for
	cow    route.Fact // known when memory is: whether it never writes over what is there
	polled route.Fact // whether it has poll queues; asked by engines that poll
}

// closeLater closes a descriptor for callers that do not wait for it.
func (d *device) closeLater(desc *descriptor) {
	go func() {
		permit := d.calls.Acquire()
		defer d.calls.Release(&permit)
		permit.Note(clock())
		desc.shut()
	}()
}

// lane is what the users of a device wait for. Beyond maxLanes devices of an engine share lanes.
type lane struct {
	calls *limit.Pool // blocking calls on open files
	names *limit.Pool // blocking calls on names
	loans *limit.Pool // operations that have memory of the engine

	hits  shortCalls // reads from the page cache
	plain shortCalls // other buffered transfers that are system calls
	files atomic.Uint32

	reads, writes route.Few    // direct transfers, and buffered reads that miss, that are left to system calls
	large         route.Few    // the same for large buffered reads
	fewPerP       atomic.Int32 // how many these may be for each P, see few

	opening atomic.Bool // somebody makes the rings, or has made them
	queues  atomic.Pointer[[]*queue]
}

// shortCalls are the calls of one kind on the files of a device that as a rule take less than a microsecond.
type shortCalls struct {
	limit.Express
	beside count.Traffic // of those that got no ticket
}

// count returns how many there were, and the bytes that they moved.
func (s *shortCalls) count() (ops, bytes uint64) {
	ops, bytes = s.Count()
	o, b := s.beside.Load()
	return ops + o, bytes + b
}

// How many short calls of each kind may have a ticket at a time on a device: on the first ones that a program uses,
// and on others. All of them count as threads.
const (
	busyLanes = 4
	manyShort = 64
	fewShort  = 16
)

// maxLanes bounds how many devices have rings and permits of their own.
const maxLanes = 64

// devices are those of an engine, by number.
type devices struct {
	config  Config
	rings   ringMaker
	uring   bool          // there are rings
	threads *limit.Budget // of all blocking calls together
	nowhere *limit.Pool   // blocking calls on names of which nobody knows on what device they are
	failed  count.Counter // rings that are broken
	closed  atomic.Bool

	mu    sync.RWMutex
	known map[uint64]*device
	lanes []*lane
	names names
}

func (ds *devices) init(c Config) {
	ds.config = c
	ds.rings.config = c
	ds.threads = limit.NewBudget(4 * c.BlockingLimit)
	ds.nowhere = limit.NewPool(c.BlockingLimit, 4*c.BlockingLimit, ds.threads)
}

// blockDevice is set in the number of a block device, to distinguish it from the file system that may
// be on it.
const blockDevice = 1 << 63

// at returns the device with a number, adding it if it is new.
func (ds *devices) at(number uint64) *device {
	ds.mu.RLock()
	d := ds.known[number]
	ds.mu.RUnlock()
	if d != nil {
		return d
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d = ds.known[number]; d != nil {
		return d
	}
	if ds.known == nil {
		ds.known = make(map[uint64]*device)
	}
	if len(ds.known) >= maxDevices {
		clear(ds.known) // they will be met again; files keep theirs
		ds.names.forget()
	}
	d = &device{all: ds, number: number}
	d.closing = d.closeLater
	if len(ds.lanes) < maxLanes {
		d.lane = ds.newLane()
		ds.lanes = append(ds.lanes, d.lane)
	} else {
		d.lane = ds.lanes[number%maxLanes]
	}
	ds.known[number] = d
	return d
}

// maxDevices is how many devices are remembered.
const maxDevices = 1024

func (ds *devices) newLane() *lane {
	limitOf := ds.config.BlockingLimit
	depth := roundUp(ds.config.Depth)
	if ds.config.Depth == 0 {
		depth = defaultDepth
	}
	l := &lane{
		calls: limit.NewPool(limitOf, 4*limitOf, ds.threads),
		names: limit.NewPool(limitOf, 4*limitOf, ds.threads),
		loans: limit.NewPool(depth, depth, limit.NewBudget(depth)),
	}
	places := manyShort
	if len(ds.lanes) >= busyLanes {
		places = fewShort
	}
	for places > limitOf {
		places /= 2
	}
	l.hits.Init(places)
	l.plain.Init(places)
	l.fewPerP.Store(2) // measured with two Ps only
	return l
}

// few returns how many transfers are few: a ring pays off beyond that.
func (d *device) few() int { return int(d.fewPerP.Load())*d.all.psPerRing() + 1 }

// psPerRing returns how many Ps share a ring.
func (ds *devices) psPerRing() int {
	return (runtime.GOMAXPROCS(0) + ds.config.Rings - 1) / ds.config.Rings
}

// everyLane returns all lanes.
func (ds *devices) everyLane() []*lane {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	return ds.lanes
}

// queue returns the queue for the next request of this goroutine, or nil if there is none. It makes the
// rings when they are first needed.
func (d *device) queue() *queue {
	all := d.queues.Load()
	if all == nil {
		if all = d.open(); all == nil {
			return nil
		}
	}
	if len(*all) == 1 {
		return (*all)[0]
	}
	if len(*all) == 0 {
		return nil
	}
	return (*all)[count.Spread(1<<16)%len(*all)]
}

// open makes the rings of the lane. If that is impossible, for lack of memory or descriptors, the lane
// does without. One caller makes them; until then there are none for the others.
func (d *device) open() *[]*queue {
	ds := d.all
	if !ds.uring || ds.closed.Load() || !d.opening.CompareAndSwap(false, true) {
		return d.queues.Load()
	}
	outside.Do(func() {
		all := []*queue{}
		var first *uring.Ring
		for range ds.config.Rings {
			if q := ds.openQueue(first); q != nil {
				all = append(all, q)
				first = all[0].u
			}
		}
		d.queues.Store(&all)
		if ds.closed.Load() { // Close may not have seen them
			for _, q := range all {
				q.refuse()
			}
		}
	})
	return d.queues.Load()
}

// openQueue makes a queue, or returns nil if that is impossible. It must be called outside of synctest
// bubbles.
func (ds *devices) openQueue(beside *uring.Ring) *queue {
	u, slots, err := ds.rings.take(beside)
	if err != nil {
		return nil
	}
	q, err := newQueue(u, slots, &ds.failed)
	if err != nil {
		u.Close()
		return nil
	}
	return q
}

// everyQueue yields the queues of a lane.
func (l *lane) everyQueue(yield func(*queue) bool) {
	if all := l.queues.Load(); all != nil {
		for _, q := range *all {
			if !yield(q) {
				return
			}
		}
	}
}

// inFlight returns how many requests are in flight on the lane.
func (l *lane) inFlight() (n int) {
	for q := range l.everyQueue {
		n += int(q.inFlight.Load())
	}
	return n
}

// names remembers the devices of directories, in a table without collision handling: a directory that
// displaces another makes that one unknown again.
type names struct {
	cells [256]atomic.Pointer[directory]
}

type directory struct {
	path   string
	device *device
}

var hashSeed = maphash.MakeSeed()

func (n *names) cell(dir string) *atomic.Pointer[directory] {
	return &n.cells[maphash.String(hashSeed, dir)%uint64(len(n.cells))]
}

// learn records that dir is on d.
func (n *names) learn(dir string, d *device) { n.cell(dir).Store(&directory{dir, d}) }

// forget forgets all.
func (n *names) forget() {
	for i := range n.cells {
		n.cells[i].Store(nil)
	}
}

// where returns the directory that path is in, and its device, nil if that is unknown.
func (ds *devices) where(path string) (dir string, d *device) {
	dir = directoryOf(path)
	if known := ds.names.cell(dir).Load(); known != nil && known.path == dir {
		return dir, known.device
	}
	return dir, nil
}

// namesOf returns the permits for calls on names on d; if d is nil, on an unknown device.
func (ds *devices) namesOf(d *device) *limit.Pool {
	if d == nil {
		return ds.nowhere
	}
	return d.lane.names
}

// near returns the permits for a call on path.
func (ds *devices) near(path string) *limit.Pool {
	_, d := ds.where(path)
	return ds.namesOf(d)
}

// directoryOf returns path without its last element.
func directoryOf(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if os.IsPathSeparator(path[i]) {
			return path[:i]
		}
	}
	return ""
}
