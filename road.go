package ringfile

import (
	"io"
	"sync"
	"sync/atomic"
)

// road is the way on which an operation is carried out. It is chosen for each operation, from what
// the file is and what its file system has answered so far; all roads give the same results.
type road uint8

const (
	// roadDone: nothing is left to do; the page cache had it all, or an error came of it.
	roadDone road = iota
	// roadRing: a request to the kernel; the goroutine is parked meanwhile.
	roadRing
	// roadBlocking: a system call in the caller's thread, a bounded number at a time.
	roadBlocking
)

// volume is what is known of a file system (or block device), learned from its answers.
type volume struct {
	nowait atomic.Uint32 // an ability: whether it knows RWF_NOWAIT, without which a ring blocks kernel threads
	memory atomic.Uint32 // an ability: whether it has no device, so that a sync has nothing to wait for
	ram    atomic.Uint32 // an ability, known when memory is: whether its files should be asked if they are in memory, see learn
	cow    atomic.Uint32 // an ability, known when memory is: whether it never writes over what is there
	polled atomic.Uint32 // an ability: whether its device has poll queues; asked by engines that poll
	clones atomic.Uint32 // an ability: whether files can share blocks (FICLONE); unknown or no
}

// ability is what one asks oneself of a file system.
type ability = uint32

const (
	unknown ability = iota
	yes
	no
	once // unknown, but it has been time to ask once
)

// volumes finds the volume of a file by its device number.
type volumes struct {
	mu    sync.RWMutex
	known map[uint64]*volume
}

func (v *volumes) of(dev uint64) *volume {
	v.mu.RLock()
	vol := v.known[dev]
	v.mu.RUnlock()
	if vol != nil {
		return vol
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = make(map[uint64]*volume)
	}
	if vol = v.known[dev]; vol == nil {
		vol = new(volume)
		v.known[dev] = vol
	}
	return vol
}

// withoutNowait returns how many volumes are known not to know RWF_NOWAIT.
func (v *volumes) withoutNowait() (n int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, vol := range v.known {
		if vol.nowait.Load() == no {
			n++
		}
	}
	return n
}

// waitingRoad returns the road for a transfer that has to wait for the device.
func (f *File) waitingRoad() road {
	if f.polledOnly() {
		if f.direct {
			return roadRing // whose answer counts
		}
		return roadBlocking
	}
	if len(f.engine.rings) == 0 || f.volume == nil || f.volume.nowait.Load() == no {
		return roadBlocking
	}
	return roadRing
}

// asks reports whether op is a direct transfer that finds out what its volume can do, and waits for
// the device on the way.
func (f *File) asks(op *operation) bool {
	return f.direct && (op.code == opRead || op.code == opWrite) && f.waitingRoad() == roadRing &&
		f.volume.nowait.Load() == unknown && !f.polledOnly()
}

// eachAt carries out an operation on a vector, or on a single buffer, behind the first n bytes, by
// a call for each piece.
func (f *File) eachAt(op *operation, n int) (int, error) {
	call := f.os.WriteAt
	if op.code.reads() {
		call = f.os.ReadAt
	}
	if op.want() == 0 || op.off < 0 {
		return call(nil, op.off)
	}
	if op.vec == nil && f.class == classDisk {
		if op.code.reads() {
			m, err := f.pread(op.buf[n:], op.off+int64(n))
			return n + m, err
		} else if !f.append {
			m, err := f.pwrite(op.buf[n:], op.off+int64(n))
			return n + m, err
		}
	}
	var err error
	op.pieces(n, op.want()-n, func(p []byte) {
		if err == nil {
			var m int
			m, err = call(p, op.off+int64(n))
			n += m
		}
	})
	return n, err
}

// transferBlocking reads or writes by system calls, behind the first n bytes.
func (f *File) transferBlocking(op *operation, n int) (int, error) {
	if op.off != offCurrent {
		return f.eachAt(op, n)
	}
	call := f.os.Write
	if op.code.reads() {
		call = f.os.Read
	}
	m, err := call(op.buf[n:])
	if n > 0 && err == io.EOF {
		err = nil // the head has been read already
	}
	return n + m, err
}

// syncMemory is for how many direct writes a file remembers that it was synced.
const syncMemory = 8

// syncs reports whether a direct write to f is likely to be one of a few before a sync, such as those
// of a log: whoever waits for the device's cache gains nothing by a ring (docs/decisions.md).
func (f *File) syncs() bool {
	n := f.synced.Load()
	if n == 0 || f.engine.config.polls() {
		return false
	}
	f.synced.Store(n - 1)
	return true
}
