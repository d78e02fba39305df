package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Crash is what a disk holds after a power cut: all writes up to the last flush before it, and of
// those after the flush, which were in the disk's cache, some.
type Crash struct {
	Cut     int    // how many entries of the log had happened
	Marked  uint64 // the last mark among them
	Dropped int    // sectors that were in the cache and are lost
	Kept    int    // sectors that were in the cache and are not

	writes []Entry
}

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// superblock is what is written whole or not at all at the beginning of the disk: ext4's superblock has a checksum
// over two sectors. One that is torn does not mount (EBADMSG), whoever has written what; os.File and ringfile met
// that in about one of 10,000 states in which several synced a log.
const superblock = 4096

// cachePolicy says which of the writes in the cache survive a power cut.
type cachePolicy int

const (
	dropAll     cachePolicy = iota // the disk had not begun
	dropWrites                     // each write is there or not
	dropSectors                    // each sector of each write is there or not
	policies
)

// NewCrash makes up a power cut after the first mark in the log: at a random moment, or right after
// a random mark, when whatever the mark stands for must be safe, or right before a random flush,
// when the most is in the cache. It returns nil if there is no mark.
func NewCrash(log []Entry, rng *rand.Rand) *Crash {
	var marks, flushes []int
	for i, e := range log {
		switch {
		case e.Kind == Mark:
			marks = append(marks, i)
		case e.Kind == Flush && len(marks) > 0:
			flushes = append(flushes, i)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	c := &Crash{Cut: marks[0] + 1 + rng.IntN(len(log)-marks[0])}
	switch rng.IntN(3) {
	case 0:
		c.Cut = marks[rng.IntN(len(marks))] + 1
	case 1:
		if len(flushes) > 0 {
			c.Cut = flushes[rng.IntN(len(flushes))]
		}
	}
	flushed := 0
	for i, e := range log[:c.Cut] {
		switch e.Kind {
		case Flush:
			flushed = i
		case Mark:
			c.Marked = e.Mark
		}
	}
	policy := cachePolicy(rng.IntN(int(policies)))
	for i, e := range log[:c.Cut] {
		if e.Kind != Write {
			continue
		}
		if i < flushed {
			c.writes = append(c.writes, e)
		} else {
			c.survive(e, policy, rng)
		}
	}
	return c
}

// survive keeps of a write what the policy keeps.
func (c *Crash) survive(e Entry, policy cachePolicy, rng *rand.Rand) {
	unit := len(e.Data)
	if policy == dropSectors {
		unit = sectorSize
	}
	for at, size := 0, 0; at < len(e.Data); at += size {
		size = unit
		if e.Off+int64(at) == 0 {
			size = max(unit, superblock)
		}
		part := e.Data[at:min(at+size, len(e.Data))]
		if policy == dropAll || rng.IntN(2) == 0 {
			c.Dropped += len(part) / sectorSize
			continue
		}
		c.Kept += len(part) / sectorSize
		c.writes = append(c.writes, Entry{Kind: Write, Off: e.Off + int64(at), Data: part})
	}
}

// Recover makes a disk as the power cut left it, mounts it, which has the file system recover, and
// calls check with the directory where it is mounted.
func (d *Disk) Recover(c *Crash, check func(dir string) error) (err error) {
	name := filepath.Join(d.dir, "crashed")
	f, err := d.Base.write(name)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	for _, e := range c.writes {
		if _, err := f.WriteAt(e.Data, e.Off); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	loop, err := attach(name, false)
	if err != nil {
		return err
	}
	defer loop.Close()
	target := filepath.Join(d.dir, "state")
	if err := mount(loop.Name(), target, d.fs); err != nil {
		return fmt.Errorf("the file system does not recover: %w", err)
	}
	defer func() {
		// Here in the process: no server of ours is behind this mount, and there are thousands.
		if err1 := unix.Unmount(target, 0); err1 != nil {
			err = errors.Join(err, os.NewSyscallError("umount", err1))
		}
	}()
	return check(target)
}
