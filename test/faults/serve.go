package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// serveEnv makes a process the server of the disk in the directory that it names.
const serveEnv = "RINGFILE_FAULTS_SERVE"

// parallelEnv makes it one of a disk that works on many requests at a time.
const parallelEnv = "RINGFILE_FAULTS_PARALLEL"

// silenceEnv says how long the server waits for a sign of life from its parent, 30 seconds unless it
// is set. The parent gives one every heartbeat. The server notices a parent that was killed by the
// end of its input, but not one whose threads cannot end as they wait for the disk.
const (
	silenceEnv = "RINGFILE_FAULTS_SILENCE"
	heartbeat  = time.Second
)

func silence() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(silenceEnv)); err == nil {
		return d
	}
	return 30 * time.Second
}

// ServeIfAsked does not return in a child process that Start has made of this program. Each program
// that calls Start calls it first.
func ServeIfAsked() {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		return
	}
	if err := serve(dir, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fault disk:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command is what the parent asks for, one line of JSON; answer is what it gets.
type command struct {
	Do    string // "alive", "rules", "counts", "mark" or "log"
	Rules []Rule
	Mark  uint64
}

type answer struct {
	Error  string
	Counts Counts
}

// serve is the child: it serves the image in dir until in ends or goes silent.
func serve(dir string, in io.Reader, out io.Writer) error {
	image, err := os.OpenFile(filepath.Join(dir, "image"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	st, err := image.Stat()
	if err != nil {
		return err
	}
	disk := &diskNode{image: image, size: st.Size()}
	disk.book.set(nil)
	options := &fs.Options{}
	options.DirectMountStrict = true
	options.FsName = "ringfile-faults"
	if os.Getenv(parallelEnv) != "" {
		options.ExtraCapabilities = fuse.CAP_ASYNC_DIO
		options.MaxBackground = 1024
	}
	options.MaxWrite = 512 << 10 // with room for the header in a pipe, for splice(2)
	if _, err := fs.Mount(filepath.Join(dir, "fuse"), &rootNode{disk: disk}, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	err = disk.obey(dir, in, out)
	// Go through the door even if the house is on fire: the end of this process ends the FUSE
	// connection, and with it every request that still waits.
	time.AfterFunc(20*time.Second, func() { os.Exit(2) })
	disk.book.set(nil)
	unmount(dir)
	return err
}

// unmount detaches what is mounted in dir. By commands: a thread of the server itself in umount(2)
// would wait for the server.
func unmount(dir string) {
	for _, name := range []string{"mnt", "state", "fuse"} {
		if target := filepath.Join(dir, name); mounted(target) {
			exec.Command("umount", "-l", target).Run()
		}
	}
}

// obey carries out the parent's commands.
func (d *diskNode) obey(dir string, in io.Reader, out io.Writer) error {
	commands := make(chan command)
	ended := make(chan error, 1)
	go func() {
		decoder := json.NewDecoder(in)
		for {
			var c command
			if err := decoder.Decode(&c); err != nil {
				ended <- err
				return
			}
			commands <- c
		}
	}()
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(answer{}); err != nil { // says that the disk is there
		return err
	}
	for {
		select {
		case err := <-ended:
			if err == io.EOF {
				err = nil
			}
			return err
		case <-time.After(silence()):
			return fmt.Errorf("no sign of life from the parent for %v", silence())
		case c := <-commands:
			if err := encoder.Encode(d.carryOut(dir, c)); err != nil {
				return err
			}
		}
	}
}

func (d *diskNode) carryOut(dir string, c command) (a answer) {
	switch c.Do {
	case "alive":
	case "rules":
		d.book.set(c.Rules)
	case "counts":
		a.Counts = d.book.seen()
	case "mark":
		d.history.add(Entry{Kind: Mark, Mark: c.Mark})
	case "log":
		if err := d.history.save(filepath.Join(dir, "log")); err != nil {
			a.Error = err.Error()
		}
	default:
		a.Error = "unknown command " + c.Do
	}
	return a
}

// rootNode is the directory that is mounted; diskNode is the one file in it.
type rootNode struct {
	fs.Inode
	disk *diskNode
}

type diskNode struct {
	fs.Inode
	image   *os.File
	size    int64
	book    rulebook
	history history
}

var (
	_ fs.NodeOnAdder   = (*rootNode)(nil)
	_ fs.NodeGetattrer = (*diskNode)(nil)
	_ fs.NodeSetattrer = (*diskNode)(nil)
	_ fs.NodeOpener    = (*diskNode)(nil)
	_ fs.NodeReader    = (*diskNode)(nil)
	_ fs.NodeWriter    = (*diskNode)(nil)
	_ fs.NodeFsyncer   = (*diskNode)(nil)
)

// OnAdd puts the disk into the directory.
func (r *rootNode) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2}), true)
}

// Getattr says that the disk is a file of its size.
func (d *diskNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Size, out.Mode = uint64(d.size), syscall.S_IFREG|0o600
	return 0
}

// Setattr changes nothing.
func (d *diskNode) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, h, out)
}

// Open keeps the kernel from caching.
func (d *diskNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read reads, as the rules allow.
func (d *diskNode) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := d.book.meet(Read, off, int64(len(p))); errno != 0 {
		return nil, errno
	}
	n, err := d.image.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(p[:n]), 0
}

// Write writes, as the rules allow, and writes it down.
func (d *diskNode) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	if errno := d.book.meet(Write, off, int64(len(p))); errno != 0 {
		return 0, errno
	}
	d.history.add(Entry{Kind: Write, Off: off, Data: append([]byte(nil), p...)})
	if _, err := d.image.WriteAt(p, off); err != nil {
		return 0, syscall.EIO
	}
	return uint32(len(p)), 0
}

// Fsync is a flush of the disk's cache, written down only if the rules let it succeed.
func (d *diskNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if errno := d.book.meet(Flush, 0, 0); errno != 0 {
		return errno
	}
	d.history.add(Entry{Kind: Flush})
	return 0
}
