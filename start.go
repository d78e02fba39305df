package ringfile

// StartReadAt starts ReadAt(p, off) and returns its Future. p belongs to the operation until that
// is finished. What is in the page cache is there at the return already.
func (f *File) StartReadAt(p []byte, off int64) *Future[int] {
	return startTransfer(f, operation{code: opRead, file: f, buf: p, off: off}, "read")
}

// StartWriteAt starts WriteAt(p, off) and returns its Future. p belongs to the operation until
// that is finished.
func (f *File) StartWriteAt(p []byte, off int64) *Future[int] {
	return startTransfer(f, operation{code: opWrite, file: f, buf: p, off: off}, "write")
}

// StartReadvAt starts ReadvAt(vec, off) and returns its Future. vec and its buffers belong to the
// operation until that is finished.
func (f *File) StartReadvAt(vec [][]byte, off int64) *Future[int] {
	return startTransfer(f, operation{code: opReadv, file: f, vec: vec, off: off}, "read")
}

// StartWritevAt starts WritevAt(vec, off) and returns its Future. vec and its buffers belong to
// the operation until that is finished.
func (f *File) StartWritevAt(vec [][]byte, off int64) *Future[int] {
	return startTransfer(f, operation{code: opWritev, file: f, vec: vec, off: off}, "write")
}

// StartSync starts Sync and returns its Future. Writes that have returned, or whose futures have
// been awaited, are covered; those that are in flight may be or not.
func (f *File) StartSync() *Future[struct{}] {
	return startFuture(operation{code: opFsync, file: f}, "sync", noValue)
}

// StartDatasync starts Datasync and returns its Future. See StartSync.
func (f *File) StartDatasync() *Future[struct{}] {
	return startFuture(operation{code: opFdatasync, file: f}, "sync", noValue)
}

// startTransfer starts a transfer, or completes at once what is none: a bad argument or no bytes.
func startTransfer(f *File, op operation, word string) *Future[int] {
	if f != nil && f.os != nil && (f.class == classOther || op.off < 0 || op.want() == 0 || op.code.writes() && f.append) {
		n, err := f.eachAt(&op, 0)
		return finished(n, err)
	}
	return startFuture(op, word, intValue)
}

// finished returns a Future with its outcome.
func finished(n int, err error) *Future[int] {
	f := &Future[int]{value: intValue, finished: true, composed: true, n: n, err: err}
	return f
}
