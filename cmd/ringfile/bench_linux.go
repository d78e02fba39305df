package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/bench"
)

// describeMachine fills in what the system tells.
func describeMachine(m *bench.Machine) {
	m.Kernel, _ = probeSystem()
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	info, _ = os.ReadFile("/proc/meminfo")
	if _, rest, ok := strings.Cut(string(info), "MemTotal:"); ok {
		if words := strings.Fields(rest); len(words) > 0 {
			kib, _ := strconv.ParseInt(words[0], 10, 64)
			m.Memory = kib << 10
		}
	}
}

// givenPlace is the directory of the user.
func givenPlace(dir string) place {
	p := place{dir: dir, close: func() error { return nil }}
	p.describe()
	p.Name = p.Type
	return p
}

// describe fills in where the directory lies.
func (p *place) describe() {
	fs := fileSystemOf(p.dir)
	p.Type, p.Device, p.Options = fs.Type, fs.Source, fs.Options
	if p.Type == "" {
		p.Type = "unknown"
	}
	if major, minor, ok := strings.Cut(fs.Device, ":"); ok {
		for _, at := range []string{"", "/.."} { // a partition's queue is that of the disk
			rotational, err := os.ReadFile("/sys/dev/block/" + major + ":" + minor + at + "/queue/rotational")
			if err != nil {
				continue
			}
			if strings.TrimSpace(string(rotational)) == "1" {
				p.Device += " (rotational)"
			}
			break
		}
	}
}

// sbin finds programs of the administrator that are not in every user's path.
func sbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// mkfs are the commands that make the file systems, quick ones without work left for later.
var mkfs = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// canMake reports whether makePlace has what it needs.
func canMake(name string) error {
	if os.Geteuid() != 0 {
		return errors.New("--fs makes and mounts file systems, which needs root; without it, use --dir with a directory of each file system")
	}
	if command := mkfs[name]; command != nil {
		if _, err := sbin(command[0]); err != nil {
			return fmt.Errorf("--fs %s: %w", name, err)
		}
	}
	return nil
}

// makePlace makes and mounts a file system that has room for a file of size bytes. The image of a
// loop device is in dir; it has no name from the beginning, and the device goes with the mount, so
// that nothing but the mount needs to be removed.
func makePlace(ctx context.Context, name, dir string, size int64) (place, error) {
	p := place{}
	room := size*2 + 1<<30
	source, options := "tmpfs", fmt.Sprintf("size=%d", room)
	if name != "tmpfs" {
		loop, err := attachLoop(dir, room)
		if err != nil {
			return p, err
		}
		defer loop.Close() // the mount keeps it
		source, options = loop.Name(), ""
		path, err := sbin(mkfs[name][0])
		if err != nil {
			return p, err
		}
		cmd := exec.CommandContext(ctx, path, append(mkfs[name][1:], source)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("%s: %w: %s", mkfs[name][0], err, strings.TrimSpace(string(out)))
		}
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "ringfile-bench-"); err != nil {
		return p, err
	}
	if err := unix.Mount(source, p.dir, name, 0, options); err != nil {
		os.Remove(p.dir)
		return p, fmt.Errorf("mount: %w", err)
	}
	p.close = func() error { return unmount(p.dir) }
	p.describe()
	p.Name = name
	if name != "tmpfs" {
		host := fileSystemOf(dir)
		p.Note = fmt.Sprintf("loop device (%s) in a file on %s on %s", loopMode(source), host.Type, host.Source)
	}
	return p, nil
}

// attachLoop returns a loop device of n bytes that goes away with its last user.
func attachLoop(dir string, n int64) (*os.File, error) {
	image, err := os.CreateTemp(dir, ".ringfile-bench-*.img")
	if err != nil {
		return nil, err
	}
	defer image.Close()
	defer os.Remove(image.Name())
	if err := image.Truncate(n); err != nil {
		return nil, err
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices: %w", err)
	}
	defer control.Close()
	for range 10 { // another program may be faster
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("loop devices: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		// The file system is to wait for the disk and not for the host's page cache.
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if err != unix.EBUSY {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, errors.New("loop devices: all that were free were taken by others")
}

// loopMode says how a loop device reads its file.
func loopMode(device string) string {
	dio, err := os.ReadFile("/sys/block/" + filepath.Base(device) + "/loop/dio")
	if err != nil || strings.TrimSpace(string(dio)) != "1" {
		return "through the host's page cache: cold data and O_DIRECT are not as cold as they seem"
	}
	return "direct"
}

// unmount removes what makePlace has mounted.
func unmount(dir string) (err error) {
	for range 50 {
		// A process that has just ended may still be closing its files.
		if err = unix.Unmount(dir, 0); err != unix.EBUSY {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err1 := os.Remove(dir); err == nil {
		err = err1
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}
