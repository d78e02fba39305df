package ringfile

import (
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFile opens a file as os.OpenFile does, with half the system calls: what it is decides whether
// it goes to the runtime's poller, where os finds that out by trying.
func (e *Engine) openFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if underTest {
		os.Stat(name) // so that go test knows on what a cached result depends, as os.OpenFile tells it
	}
	var fd int
	var st unix.Stat_t
	err := retryEINTR(func() (err error) {
		fd, err = syscall.Open(name, flag|syscall.O_CLOEXEC, syscallMode(perm))
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	known := unix.Fstat(fd, &st) == nil
	restore := false
	if known && flag&syscall.O_NONBLOCK == 0 {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK:
		default:
			// os.NewFile takes a descriptor in non-blocking mode for one to be polled.
			restore = syscall.SetNonblock(fd, true) == nil
		}
	}
	f := &File{engine: e, os: os.NewFile(uintptr(fd), name), fd: fd}
	f.life.init()
	if restore {
		if f.os.SetDeadline(noDeadline) == nil {
			f.nonblock = true
		} else {
			syscall.SetNonblock(fd, false) // it cannot be polled
		}
	}
	if known {
		f.classifyAs(&st, flag)
	}
	return f, nil
}

// underTest tells a test binary.
var underTest = len(os.Args) > 0 && strings.HasSuffix(os.Args[0], ".test")

// syscallMode returns the bits of open(2) for a mode.
func syscallMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= syscall.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= syscall.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= syscall.S_ISVTX
	}
	return bits
}

// retryEINTR makes a system call until no signal interrupts it.
func retryEINTR(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// setBlocking puts a descriptor into blocking mode.
func setBlocking(fd int) { syscall.SetNonblock(fd, false) }

// classify finds out what an adopted file is.
func (f *File) classify() {
	conn, err := f.os.SyscallConn()
	if err != nil {
		return
	}
	var st unix.Stat_t
	var flags int
	err1 := conn.Control(func(fd uintptr) {
		f.fd = int(fd)
		if err = unix.Fstat(f.fd, &st); err == nil {
			flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		}
	})
	if err1 == nil && err == nil {
		f.classifyAs(&st, flags)
	}
}

// classifyAs notes what the file is, by its status and its flags.
func (f *File) classifyAs(st *unix.Stat_t, flags int) {
	f.append = flags&unix.O_APPEND != 0
	f.direct = flags&unix.O_DIRECT != 0
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.class = classDisk
		f.volume = f.engine.volumes.of(uint64(st.Dev))
		f.opened = st.Size
	case unix.S_IFBLK:
		f.class = classDisk
		f.volume = f.engine.volumes.of(uint64(st.Rdev) | 1<<63) // apart from file systems
		f.volume.memory.Store(no)                               // whatever the file system that its node is on
	}
}
