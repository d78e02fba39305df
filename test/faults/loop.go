package faults

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attach makes a loop device over the named file and returns it open. The device goes away when
// nobody has it open or mounted any more.
func attach(name string, direct bool) (*os.File, error) {
	// Not by os: it would ask FUSE whether the file can be polled.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(fd)}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if direct {
		config.Info.Flags |= unix.LO_FLAGS_DIRECT_IO
	}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], name)
	for range 100 { // others look for free devices, too
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err == nil {
			if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err == nil {
				return device, nil
			}
			device.Close()
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENXIO) && !errors.Is(err, os.ErrNotExist) {
			return nil, os.NewSyscallError("LOOP_CONFIGURE", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("no loop device is to be had")
}

// mount mounts a device.
func mount(device, target, kind string) error {
	options := "" // a copy of a file system may be mounted while the original is
	if kind == "xfs" {
		options = "nouuid"
	}
	return os.NewSyscallError("mount", unix.Mount(device, target, kind, unix.MS_NOATIME, options))
}

// mounted reports whether something is mounted on target.
func mounted(target string) bool {
	var at, above unix.Stat_t
	if err := unix.Lstat(target, &at); err != nil {
		// A FUSE mount whose server has died cannot be looked at.
		return !errors.Is(err, unix.ENOENT)
	}
	return unix.Lstat(target+"/..", &above) == nil && at.Dev != above.Dev
}
