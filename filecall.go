package ringfile

import (
	"context"
	"io/fs"

	"github.com/ringfile/ringfile/uring"
)

// The calls in this file describe, change or close an open file, and are left behind when a context
// ends. They hold a thread, a bounded number at a time, where a ring has no such call. What was left
// behind keeps its use of the descriptor until the kernel is done with it.

// StatContext is Stat, given up when ctx ends: then the error is the cause of ctx, in a
// *fs.PathError. It goes through a ring (Linux 5.6). What it returns is known to SameFile, but not to
// os.SameFile.
func (f *File) StatContext(ctx context.Context) (fs.FileInfo, error) {
	if f == nil || f.os == nil {
		return nil, fs.ErrInvalid
	}
	var info fs.FileInfo
	p := &pathCall{
		call: call{op: uring.OpStatx, flags: atEmptyPath},
		dir:  f.fd,
		block: func() (err error) {
			info, err = f.os.Stat()
			return err
		},
	}
	if err := p.pin(); err != nil {
		return nil, f.wrap("stat", err)
	}
	if err := f.callUntil(ctx, p, "stat"); err != nil {
		return nil, err
	}
	if info == nil { // a ring has carried it out
		info = p.info(f.Name())
	}
	return info, nil
}

// ChmodContext is Chmod, given up when ctx ends; it may take effect even later.
func (f *File) ChmodContext(ctx context.Context, mode fs.FileMode) error {
	return f.callUntil(ctx, &pathCall{block: func() error { return f.os.Chmod(mode) }}, "chmod")
}

// ChownContext is Chown, given up when ctx ends; it may take effect even later.
func (f *File) ChownContext(ctx context.Context, uid, gid int) error {
	return f.callUntil(ctx, &pathCall{block: func() error { return f.os.Chown(uid, gid) }}, "chown")
}

// callUntil carries p out on a ring if one has its operation, else by its function block in a
// goroutine of its own, until ctx ends. Then what block stores must not be looked at any more.
func (f *File) callUntil(ctx context.Context, p *pathCall, word string) error {
	return f.controlUntil(ctx, &operation{code: opPath, file: f, path: p}, word)
}

// CloseContext is Close that is waited for until ctx ends at most: then the error is the cause of
// ctx, in a *fs.PathError. The file is closed in any case, even if ctx has ended before. File servers
// may have to store what was written (NFS, FUSE), and have errors to report, in time to be seen or
// not.
func (f *File) CloseContext(ctx context.Context) error {
	if err := f.shut(); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return f.life.decref(f)
	}
	done := make(chan error, 1)
	go func() {
		place := f.engine.takePlace(true)
		err := f.life.decref(f)
		f.engine.leaveCall(place)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return f.wrap("close", context.Cause(ctx))
	}
}
