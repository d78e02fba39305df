package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a disk that fails on command. Its methods are safe for concurrent use.
type Disk struct {
	Device string // the block device
	Mount  string // where its file system is mounted; empty if it has none
	Base   *Image // what was on it at first

	dir   string
	fs    string
	lock  *os.File
	loop  *os.File
	child *exec.Cmd
	input io.WriteCloser
	stop  chan struct{} // closed by Close

	mu      sync.Mutex // guards the conversation with the child
	encoder *json.Encoder
	decoder *json.Decoder
}

// Config says what disk to make.
type Config struct {
	FS   string // "ext4", "xfs", or empty for a disk without a file system
	Size int64  // in bytes; zero: as small as the file system likes
	// Sound makes a disk that nobody serves, and that is as quick as memory: one beside that which fails.
	// Set, Counts, Mark and Log are not for it.
	Sound bool
	// Parallel makes a disk that works on many requests at a time. Otherwise it has one after the other.
	Parallel bool
}

const prefix = "ringfile-faults-"

// shm is a file system in memory. Images are best kept there: what the file systems on them flush
// costs nothing.
const shm = "/dev/shm"

// roomy returns the directory for a disk: shm if it has n bytes to spare.
func roomy(n uint64) string {
	var st unix.Statfs_t
	if unix.Statfs(shm, &st) != nil || st.Type != unix.TMPFS_MAGIC || st.Bavail*uint64(st.Bsize) < n {
		return os.TempDir()
	}
	return shm
}

// Possible returns why there can be no fault disks here, nil if there can.
func Possible() error {
	if os.Getuid() != 0 {
		return errors.New("fault disks need root, for mount(2) and loop devices")
	}
	for _, name := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("fault disks need %s: %w", name, err)
		}
	}
	for _, tool := range []string{"umount", "mkfs.ext4", "mkfs.xfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("fault disks need %s: %w", tool, err)
		}
	}
	return nil
}

// Start makes a disk, with its file system mounted.
func Start(c Config) (_ *Disk, err error) {
	d := &Disk{fs: c.FS, stop: make(chan struct{})}
	if d.dir, err = os.MkdirTemp(roomy(2<<30), prefix); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if err := d.furnish(); err != nil {
		return nil, err
	}
	image := filepath.Join(d.dir, "image")
	if err := format(image, c); err != nil {
		return nil, err
	}
	if d.Base, err = readImage(image); err != nil {
		return nil, err
	}
	if !c.Sound {
		if err := d.startChild(c.Parallel); err != nil {
			return nil, err
		}
		image = filepath.Join(d.dir, "fuse", "disk")
	}
	if d.loop, err = attach(image, !c.Sound); err != nil {
		return nil, err
	}
	d.Device = d.loop.Name()
	if c.FS == "" {
		return d, nil
	}
	d.Mount = filepath.Join(d.dir, "mnt")
	return d, mount(d.Device, d.Mount, c.FS)
}

// furnish fills the directory of the disk. A lock in it says that somebody uses it.
func (d *Disk) furnish() (err error) {
	name := filepath.Join(d.dir, "lock")
	if d.lock, err = os.Create(name + ".new"); err != nil {
		return err
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	for _, sub := range []string{"fuse", "mnt", "state"} {
		if err := os.Mkdir(filepath.Join(d.dir, sub), 0o700); err != nil {
			return err
		}
	}
	return os.Rename(name+".new", name)
}

// format makes an image file with a file system.
func format(image string, c Config) error {
	size := c.Size
	var mkfs *exec.Cmd
	switch c.FS {
	case "":
		size = max(size, 16<<20)
	case "ext4":
		size = max(size, 32<<20)
		mkfs = exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4",
			"-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	case "xfs":
		size = max(size, 300<<20) // mkfs.xfs refuses less
		mkfs = exec.Command("mkfs.xfs", "-q", "-f", image)
	default:
		return fmt.Errorf("unknown file system %q", c.FS)
	}
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil || mkfs == nil {
		return err
	}
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", mkfs.Path, err, out)
	}
	return nil
}

// startChild starts the server and waits until it serves.
func (d *Disk) startChild(parallel bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	d.child = exec.Command(self)
	d.child.Env = append(os.Environ(), serveEnv+"="+d.dir)
	if parallel {
		d.child.Env = append(d.child.Env, parallelEnv+"=1")
	}
	d.child.Stderr = os.Stderr
	d.child.ExtraFiles = []*os.File{d.lock}                   // holds the lock as long as it lives
	d.child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // survives ^C, to clean up
	if d.input, err = d.child.StdinPipe(); err != nil {
		return err
	}
	output, err := d.child.StdoutPipe()
	if err != nil {
		return err
	}
	d.encoder, d.decoder = json.NewEncoder(d.input), json.NewDecoder(output)
	if err := d.child.Start(); err != nil {
		d.child = nil
		return err
	}
	var hello answer
	if err := d.decoder.Decode(&hello); err != nil {
		return fmt.Errorf("the fault disk's server has not started: %w", err)
	}
	go func() {
		for {
			select {
			case <-d.stop:
				return
			case <-time.After(heartbeat):
				d.ask(command{Do: "alive"})
			}
		}
	}()
	return nil
}

// ask has the child carry out a command.
func (d *Disk) ask(c command) (answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var a answer
	if err := d.encoder.Encode(c); err != nil {
		return a, err
	}
	if err := d.decoder.Decode(&a); err != nil {
		return a, fmt.Errorf("the fault disk's server: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Set replaces the rules; without any the disk works. Requests that hang go on.
func (d *Disk) Set(rules ...Rule) error {
	_, err := d.ask(command{Do: "rules", Rules: rules})
	return err
}

// Counts returns what the disk has seen.
func (d *Disk) Counts() (Counts, error) {
	a, err := d.ask(command{Do: "counts"})
	return a.Counts, err
}

// Mark puts n into the disk's log, behind all that the disk has been asked to do so far.
func (d *Disk) Mark(n uint64) error {
	_, err := d.ask(command{Do: "mark", Mark: n})
	return err
}

// Log returns what was written to the disk, flushed and marked so far.
func (d *Disk) Log() ([]Entry, error) {
	if _, err := d.ask(command{Do: "log"}); err != nil {
		return nil, err
	}
	return loadEntries(filepath.Join(d.dir, "log"))
}

// Find returns the offset on the disk of the first block that begins with data.
func (d *Disk) Find(data []byte) (int64, error) {
	image, err := readImage(filepath.Join(d.dir, "image"))
	if err != nil {
		return 0, err
	}
	for _, c := range image.chunks {
		if bytes.HasPrefix(c.data, data) {
			return c.off, nil
		}
	}
	return 0, errors.New("not on the disk")
}

// Close lets all requests go, unmounts the disk and removes it.
func (d *Disk) Close() error {
	select {
	case <-d.stop:
		return nil
	default:
		close(d.stop)
	}
	var err error
	if d.child != nil {
		_, err = d.ask(command{Do: "rules"})
	}
	if d.Mount != "" && mounted(d.Mount) {
		err = errors.Join(err, unmountNow(d.Mount))
	}
	if d.loop != nil {
		err = errors.Join(err, d.loop.Close())
	}
	if d.child != nil {
		d.input.Close() // the child ends
		killer := time.AfterFunc(time.Minute, func() { d.child.Process.Kill() })
		err = errors.Join(err, d.child.Wait())
		killer.Stop()
	}
	d.lock.Close()
	return errors.Join(err, remove(d.dir))
}

// unmountNow unmounts target, by a command that can be left behind if that takes for ever.
func unmountNow(target string) error {
	var out []byte
	var err error
	for range 50 { // somebody may still have a file open, such as an indexer
		if out, err = exec.Command("umount", target).CombinedOutput(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	exec.Command("umount", "-l", target).Run()
	return fmt.Errorf("umount: %w: %s", err, out)
}

// remove removes the directory of a disk that nobody uses any more.
func remove(dir string) error {
	unmount(dir)
	for _, name := range []string{"fuse", "mnt", "state"} {
		if mounted(filepath.Join(dir, name)) {
			return fmt.Errorf("%s is still mounted", filepath.Join(dir, name))
		}
	}
	return os.RemoveAll(dir)
}

// Sweep removes the disks of programs that were killed.
func Sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	more, _ := filepath.Glob(filepath.Join(shm, prefix+"*"))
	for _, dir := range append(dirs, more...) {
		lock, err := os.Open(filepath.Join(dir, "lock"))
		if err != nil {
			continue // being made
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			remove(dir)
		}
		lock.Close()
	}
}
