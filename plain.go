package ringfile

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
	place, region := f.engine.takePlace(f.mayHang()), startRegion("ringfile.blocking")
	n, err = f.pread(p, off)
	endRegion(region)
	f.leavePlain(place, n)
	return n, err
}

// plainWriteAt writes as os does, with a place among the blocking calls; with offCurrent at the file
// position.
func (f *File) plainWriteAt(p []byte, off int64) (n int, err error) {
	place, region := f.engine.takePlace(f.mayHang()), startRegion("ringfile.blocking")
	n, err = f.pwrite(p, off)
	endRegion(region)
	f.leavePlain(place, n)
	return n, err
}

// mayHang reports whether there may be a device to wait for.
func (f *File) mayHang() bool { return f.ram.Load() != yes }

func (f *File) leavePlain(p place, n int) {
	if f.volume != nil && (f.volume.memory.Load() == unknown || f.volume.ram.Load() == yes && f.ram.Load() != yes && f.ram.Load() != no) {
		f.learn() // now that its file system has answered
	}
	p.count(n)
	f.engine.leaveCall(p)
}
