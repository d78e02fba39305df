package ringfile

import (
	"context"

	"golang.org/x/sys/unix"
)

// withoutDirect calls do while O_DIRECT is off for the descriptor of f. Other transfers on f go
// through the page cache in that time, with the same results. One at a time; a context or a deadline
// ends the wait for that.
func (f *File) withoutDirect(ctx context.Context, do func() error) error {
	if err := f.begin("write"); err != nil {
		return err
	}
	defer f.end()
	if u := f.until(ctx, opWrite); u.stop == nil && u.late == nil {
		f.writing.Lock()
	} else if err := u.lock(&f.writing); err != nil {
		return f.wrap("write", err)
	}
	defer f.writing.Unlock()
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	if err != nil {
		return f.wrap("fcntl", err)
	}
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags&^unix.O_DIRECT); err != nil {
		return f.wrap("fcntl", err)
	}
	err = do()
	if _, err1 := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags|unix.O_DIRECT); err1 != nil && err == nil {
		err = f.wrap("fcntl", err1)
	}
	return err
}

// directNow reports whether O_DIRECT is on for the descriptor of f, which is in use.
func (f *File) directNow() bool {
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_DIRECT != 0
}
