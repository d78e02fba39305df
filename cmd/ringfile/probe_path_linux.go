package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/sysio"
)

// probeSize is the size of the temporary file: a few pages on any machine.
const probeSize = 256 << 10

// probePath finds out what the file system of path can do, by doing it.
func probePath(e *ringfile.Engine, path string) *pathReport {
	untested := ability{Result: "not tested"}
	r := &pathReport{
		Path: path, Kind: "other", TestedOn: "nothing", FileSystem: fileSystemOf(path),
		NowaitRead: untested, NowaitWrite: untested,
		DirectRead: untested, DirectWrite: untested,
		NowaitDirectRead: untested, NowaitDirectWrite: untested,
		Routes: []routeUsed{},
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		r.Note = describe(err)
	case st.IsDir():
		r.Kind = "directory"
		name, err := probeFile(path)
		if err != nil {
			r.Note = "cannot create a temporary file: " + describe(err)
			break
		}
		defer os.Remove(name)
		r.TestedOn = "temporary file"
		r.test(e, name, true)
	case st.Mode().IsRegular():
		r.Kind, r.TestedOn = "file", "file"
		r.test(e, path, false)
	case st.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		r.Kind, r.TestedOn = "block device", "file"
		r.test(e, path, false)
	}
	return r
}

// probeFile makes a temporary file of probeSize bytes in dir and returns its name.
func probeFile(dir string) (name string, err error) {
	f, err := os.CreateTemp(dir, ".ringfile-probe-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(make([]byte, probeSize))
	if err1 := f.Close(); err == nil {
		err = err1
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// test tries everything on the named file. Unless it may be written, it is only read.
func (r *pathReport) test(e *ringfile.Engine, name string, write bool) {
	mode := os.O_RDONLY
	if write {
		mode = os.O_RDWR
	}
	f, err := e.OpenFile(name, mode, 0)
	if err != nil {
		r.TestedOn, r.Note = "nothing", describe(err)
		return
	}
	defer f.Close()
	align := ringfile.Alignment{Memory: 4096, Offset: 4096}
	if a, err := f.DirectAlign(); err == nil {
		align = a
		r.Align = &alignment{Memory: a.Memory, Offset: a.Offset, Reported: a.Reported}
	}
	size := max(4096, align.Offset)
	buf := ringfile.AlignedBuffer(size, max(4096, align.Memory))

	f.ReadAt(buf, 0) // into the page cache
	r.NowaitRead = nowait(f, sysio.Handle.PreadNowait, buf)
	if write {
		r.NowaitWrite = nowait(f, sysio.Handle.PwriteNowait, buf)
	}
	r.try(e, "cached_read", nil, func() error { return readAll(f, buf) })
	if write {
		r.buffered(e, f, buf)
	}

	d, err := e.OpenFile(name, mode|unix.O_DIRECT, 0)
	if err != nil {
		no := abilityOf(err)
		r.DirectRead, r.NowaitDirectRead = no, no
		if write {
			r.DirectWrite, r.NowaitDirectWrite = no, no
		}
		r.Align = nil
		return
	}
	defer d.Close()
	r.DirectRead = abilityOf(readAll(d, buf))
	r.NowaitDirectRead = nowait(d, sysio.Handle.PreadNowait, buf)
	r.try(e, "direct_read", nil, func() error { return readAll(d, buf) })
	if write {
		writeDirect := func() error { _, err := d.WriteAt(buf, 0); return err }
		r.DirectWrite = abilityOf(writeDirect())
		r.NowaitDirectWrite = nowait(d, sysio.Handle.PwriteNowait, buf)
		r.try(e, "direct_write", nil, writeDirect)
	}
}

// buffered tries what changes the file, or needs it changed.
func (r *pathReport) buffered(e *ringfile.Engine, f *ringfile.File, buf []byte) {
	write := func() error { _, err := f.WriteAt(buf, 0); return err }
	drop := func() {
		f.Sync()
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	r.try(e, "uncached_read", drop, func() error { return readAll(f, buf) })
	r.try(e, "buffered_write", nil, write)
	r.try(e, "sync", func() { write() }, f.Sync)
	r.try(e, "datasync", func() { write() }, f.Datasync)
	r.try(e, "allocate", nil, func() error { return f.Allocate(probeSize, int64(len(buf)), 0) })
	r.try(e, "prefetch", drop, func() error { return f.Advise(0, probeSize, ringfile.AdviceWillNeed) })
}

// try carries an operation out twice and notes which route it took the second time, when the engine
// knows the file system.
func (r *pathReport) try(e *ringfile.Engine, operation string, before func(), op func() error) {
	var used routeUsed
	for range 2 {
		if before != nil {
			before()
		}
		was := e.Stats()
		err := op()
		used = routeUsed{Operation: operation, Route: routeBetween(was, e.Stats())}
		if err != nil {
			used.Error = describe(err)
		}
	}
	r.Routes = append(r.Routes, used)
}

// routeBetween names the routes that were taken between two readings of the statistics.
func routeBetween(was, is ringfile.Stats) string {
	var routes []string
	for _, route := range []struct {
		name string
		n    uint64
	}{
		{"cached", is.Cached - was.Cached},
		{"ring", is.Ring - was.Ring},
		{"blocking", is.Blocking - was.Blocking},
	} {
		if route.n > 0 {
			routes = append(routes, route.name)
		}
	}
	return strings.Join(routes, "+")
}

// readAll reads the front of the file; that it is shorter than buf is fine.
func readAll(f *ringfile.File, buf []byte) error {
	_, err := f.ReadAt(buf, 0)
	if err == io.EOF {
		return nil
	}
	return err
}

// nowait tries a transfer with RWF_NOWAIT. EAGAIN means that the flag is known.
func nowait(f *ringfile.File, call func(h sysio.Handle, p []byte, off int64) (int, syscall.Errno), buf []byte) ability {
	_, errno := call(sysio.Handle{FD: int(f.Fd())}, buf, 0)
	if errno == 0 {
		return abilityOf(nil)
	}
	a := abilityOf(errno)
	if errno == syscall.EAGAIN {
		*a.Able = true
	}
	return a
}

func abilityOf(err error) ability {
	able := err == nil
	switch {
	case able:
		return ability{Able: &able, Result: "ok"}
	case errnoName(err) != "":
		return ability{Able: &able, Result: errnoName(err)}
	}
	return ability{Able: &able, Result: describe(err)}
}

// fileSystemOf looks up where path lies.
func fileSystemOf(path string) fileSystem {
	var r fileSystem
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil {
		magic := uint32(st.Type)
		r.Magic = fmt.Sprintf("0x%x", magic)
		if r.Type = magicNames[magic]; r.Type == "" {
			r.Type = "unknown"
		}
	}
	var stx unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &stx) != nil {
		return r
	}
	r.Device = fmt.Sprintf("%d:%d", stx.Dev_major, stx.Dev_minor)
	id := ""
	if stx.Mask&unix.STATX_MNT_ID != 0 { // Linux 5.8
		id = fmt.Sprint(stx.Mnt_id)
	}
	if m, err := findMount(id, r.Device); err == nil {
		r.MountPoint, r.Source, r.Options = m.point, m.source, m.options
		if m.fsType != "" {
			r.Type = m.fsType // more exact: ext2, ext3 and ext4 share a number
		}
	}
	return r
}

// mount is a line of /proc/self/mountinfo.
type mount struct{ point, options, fsType, source string }

var errNoMount = errors.New("no such mount")

// findMount finds a mount by its id or, if that is empty, the last one of the device.
func findMount(id, device string) (m mount, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return m, err
	}
	defer f.Close()
	err = errNoMount
	for lines := bufio.NewScanner(f); lines.Scan(); {
		front, back, _ := strings.Cut(lines.Text(), " - ")
		head, tail := strings.Fields(front), strings.Fields(back)
		if len(head) < 6 || len(tail) < 2 {
			continue
		}
		if id != "" && head[0] == id || id == "" && head[2] == device {
			m, err = mount{unescape(head[4]), head[5], tail[0], unescape(tail[1])}, nil
		}
	}
	return m, err
}

// unescape undoes the octal numbers that stand for spaces and the like in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// magicNames are the file systems that one meets, by the numbers of statfs(2).
var magicNames = map[uint32]string{
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.XFS_SUPER_MAGIC:       "xfs",
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	unix.BCACHEFS_SUPER_MAGIC:  "bcachefs",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	0x2fc12fc1:                 "zfs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.RAMFS_MAGIC:           "ramfs",
	unix.HUGETLBFS_MAGIC:       "hugetlbfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.FUSE_SUPER_MAGIC:      "fuse",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.CIFS_SUPER_MAGIC:      "cifs",
	unix.SMB2_SUPER_MAGIC:      "smb2",
	unix.CEPH_SUPER_MAGIC:      "ceph",
	unix.V9FS_MAGIC:            "9p",
	0x0bd00bd0:                 "lustre",
	0x47504653:                 "gpfs",
	unix.EXFAT_SUPER_MAGIC:     "exfat",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	0x7366746e:                 "ntfs3",
	unix.ISOFS_SUPER_MAGIC:     "iso9660",
	unix.UDF_SUPER_MAGIC:       "udf",
	unix.SQUASHFS_MAGIC:        "squashfs",
	0xe0f5e1e2:                 "erofs",
	unix.ECRYPTFS_SUPER_MAGIC:  "ecryptfs",
	unix.NILFS_SUPER_MAGIC:     "nilfs2",
	unix.PROC_SUPER_MAGIC:      "proc",
	unix.SYSFS_MAGIC:           "sysfs",
	unix.DEBUGFS_MAGIC:         "debugfs",
	unix.TRACEFS_MAGIC:         "tracefs",
	unix.CGROUP2_SUPER_MAGIC:   "cgroup2",
	unix.CGROUP_SUPER_MAGIC:    "cgroup",
	unix.DEVPTS_SUPER_MAGIC:    "devpts",
}
