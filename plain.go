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
	stamp, region := f.enterPlain()
	n, err = f.os.ReadAt(p, off)
	f.leavePlain(stamp, region, n)
	return n, err
}

// plainWriteAt writes as os does, with a place among the blocking calls.
func (f *File) plainWriteAt(p []byte, off int64) (n int, err error) {
	stamp, region := f.enterPlain()
	n, err = f.os.WriteAt(p, off)
	f.leavePlain(stamp, region, n)
	return n, err
}

// enterPlain takes the place, and notes when unless all is in memory.
func (f *File) enterPlain() (stamp *atomic.Int64, region *trace.Region) {
	e := f.engine
	e.stats.blocking.add(1)
	e.blocking.acquire()
	region = startRegion("ringfile.blocking")
	if f.volume.ram.Load() != yes {
		stamp = e.stats.stamps.begin()
	}
	return stamp, region
}

func (f *File) leavePlain(stamp *atomic.Int64, region *trace.Region, n int) {
	e := f.engine
	if stamp != nil && f.volume.memory.Load() == unknown {
		f.inMemory() // now that its file system has answered
	}
	e.stats.stamps.end(stamp)
	endRegion(region)
	e.blocking.release()
	e.stats.blockingBytes.add(uint64(n))
}
