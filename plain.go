package ringfile

import (
	"runtime/trace"
	"sync/atomic"
)

// A transfer that is a system call whatever happens takes the shortest way to it: it may be a copy in
// memory, beside which all that has to be looked at for it shows.

// plain reports whether all reads, or all writes, of f are such.
func (f *File) plain(reads bool) bool {
	if f.volume == nil {
		return false
	}
	return len(f.engine.rings) == 0 || !f.direct && (!reads || f.volume.nowait.Load() == no)
}

// plainReadAt reads as os does, with a place among the blocking calls.
func (f *File) plainReadAt(p []byte, off int64) (n int, err error) {
	call := f.enterPlain()
	n, err = f.pread(p, off)
	f.leavePlain(call, n)
	return n, err
}

// plainWriteAt writes as os does, with a place among the blocking calls.
func (f *File) plainWriteAt(p []byte, off int64) (n int, err error) {
	call := f.enterPlain()
	n, err = f.pwrite(p, off)
	f.leavePlain(call, n)
	return n, err
}

// plainCall is what a plain call has while it runs.
type plainCall struct {
	seat   *seat
	seated bool          // whether it has that seat, or else an ordinary place
	stamp  *atomic.Int64 // when it began, if it is noted here
	region *trace.Region
}

// enterPlain takes a place, and notes when unless all is in memory.
func (f *File) enterPlain() (c plainCall) {
	e := f.engine
	timed := f.volume.ram.Load() != yes
	c.seat = e.blocking.seat()
	if c.seated = c.seat.sit(timed); !c.seated {
		e.blocking.acquire()
		if timed {
			c.stamp = e.stats.stamps.begin()
		}
	}
	c.region = startRegion("ringfile.blocking")
	return c
}

func (f *File) leavePlain(c plainCall, n int) {
	e := f.engine
	if f.volume.memory.Load() == unknown {
		f.inMemory() // now that its file system has answered
	}
	endRegion(c.region)
	e.stats.blocking.add(n)
	if c.seated {
		e.blocking.stand(c.seat)
		return
	}
	e.stats.stamps.end(c.stamp)
	e.blocking.leave(c.seat)
}
