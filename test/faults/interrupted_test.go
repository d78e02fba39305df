package faults_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	nodes "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
	"github.com/ringfile/ringfile/durable"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
	"github.com/ringfile/ringfile/test/faults"
)

// interruptingServer is a file server that shows a directory, and answers every third request or so, of each kind, that
// it was interrupted. The system call then fails with EINTR, whatever SA_RESTART says, as one that a signal has
// interrupted on such a file system.
type interruptingServer struct {
	fuse.RawFileSystem
	mu   sync.Mutex
	rng  *rand.Rand
	seen map[string]int // interrupted requests, by their kind
}

// newInterruptingServer starts a server, and returns where it is mounted.
func newInterruptingServer(t *testing.T) (s *interruptingServer, dir string) {
	t.Helper()
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	root, err := nodes.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	s = &interruptingServer{RawFileSystem: nodes.NewNodeFS(root, &nodes.Options{}), rng: rand.New(rand.NewPCG(1, 2)), seen: make(map[string]int)}
	server, err := fuse.NewServer(s, dir, &fuse.MountOptions{DirectMountStrict: true, FsName: "ringfile-interrupting"})
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return s, dir
}

// interrupt reports whether a request is to be answered by EINTR.
func (s *interruptingServer) interrupt(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rng.IntN(3) > 0 {
		return false
	}
	s.seen[kind]++
	return true
}

func (s *interruptingServer) GetAttr(c <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s.interrupt("getattr") {
		return fuse.EINTR
	}
	status := s.RawFileSystem.GetAttr(c, in, out)
	out.AttrValid = 0 // it is asked for each time
	return status
}

func (s *interruptingServer) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s.interrupt("setattr") {
		return fuse.EINTR
	}
	return s.RawFileSystem.SetAttr(c, in, out)
}

func (s *interruptingServer) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s.interrupt("open") {
		return fuse.EINTR
	}
	status := s.RawFileSystem.Open(c, in, out)
	out.OpenFlags, out.BackingID = fuse.FOPEN_DIRECT_IO, 0 // so that reads and writes are requests
	return status
}

func (s *interruptingServer) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s.interrupt("create") {
		return fuse.EINTR
	}
	status := s.RawFileSystem.Create(c, in, name, out)
	out.OpenFlags, out.BackingID = fuse.FOPEN_DIRECT_IO, 0
	return status
}

func (s *interruptingServer) Read(c <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if s.interrupt("read") {
		return nil, fuse.EINTR
	}
	return s.RawFileSystem.Read(c, in, buf)
}

func (s *interruptingServer) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if s.interrupt("write") {
		return 0, fuse.EINTR
	}
	return s.RawFileSystem.Write(c, in, data)
}

func (s *interruptingServer) Writev(c <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if s.interrupt("write") {
		return 0, fuse.EINTR
	}
	return s.RawFileSystem.Writev(c, in, data)
}

func (s *interruptingServer) CopyFileRange(c <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if s.interrupt("copy_file_range") {
		return 0, fuse.EINTR
	}
	return s.RawFileSystem.CopyFileRange(c, in)
}

func (s *interruptingServer) Lseek(c <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if s.interrupt("lseek") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Lseek(c, in, out)
}

func (s *interruptingServer) Fsync(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s.interrupt("fsync") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Fsync(c, in)
}

func (s *interruptingServer) FsyncDir(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s.interrupt("fsyncdir") {
		return fuse.EINTR
	}
	return fuse.OK // the loopback has none
}

func (s *interruptingServer) Fallocate(c <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if s.interrupt("fallocate") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Fallocate(c, in)
}

func (s *interruptingServer) StatFs(c <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if s.interrupt("statfs") {
		return fuse.EINTR
	}
	return s.RawFileSystem.StatFs(c, in, out)
}

func (s *interruptingServer) OpenDir(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s.interrupt("opendir") {
		return fuse.EINTR
	}
	return s.RawFileSystem.OpenDir(c, in, out)
}

func (s *interruptingServer) Mkdir(c <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if s.interrupt("mkdir") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Mkdir(c, in, name, out)
}

func (s *interruptingServer) Unlink(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s.interrupt("unlink") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Unlink(c, in, name)
}

func (s *interruptingServer) Rmdir(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s.interrupt("rmdir") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Rmdir(c, in, name)
}

func (s *interruptingServer) Rename(c <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if s.interrupt("rename") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Rename(c, in, from, to)
}

func (s *interruptingServer) Link(c <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if s.interrupt("link") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Link(c, in, name, out)
}

func (s *interruptingServer) Symlink(c <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	if s.interrupt("symlink") {
		return fuse.EINTR
	}
	return s.RawFileSystem.Symlink(c, in, to, name, out)
}

func (s *interruptingServer) Readlink(c <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	if s.interrupt("readlink") {
		return nil, fuse.EINTR
	}
	return s.RawFileSystem.Readlink(c, in)
}

// TestInterrupted has system calls of all packages fail with EINTR: they are made again, and nobody hears of it.
func TestInterrupted(t *testing.T) {
	server, dir := newInterruptingServer(t)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		server.mu.Lock()
		clear(server.seen)
		server.mu.Unlock()
		for i := range 20 {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for _, p := range []struct {
				name string
				do   func(check func(what string, err error), e *ringfile.Engine, dir string, rng *rand.Rand)
			}{{"File", interruptedFile}, {"fsys", interruptedNames}, {"stream", interruptedStreams}, {"copies", interruptedCopies}} {
				sub := filepath.Join(dir, "sub")
				check := func(what string, err error) {
					if err != nil {
						t.Errorf("%s: %s: %v", p.name, what, err)
					}
				}
				check("Mkdir", fsys.On(e).Mkdir(t.Context(), sub, 0o700))
				p.do(check, e, sub, rng)
				check("RemoveAll", fsys.On(e).RemoveAll(t.Context(), sub))
				if t.Failed() {
					return
				}
			}
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		t.Log(server.seen)
		for _, kind := range []string{"getattr", "setattr", "open", "create", "read", "write", "copy_file_range", "lseek", "fsync", "fsyncdir",
			"fallocate", "statfs", "opendir", "mkdir", "unlink", "rmdir", "rename", "link", "symlink", "readlink"} {
			if server.seen[kind] == 0 {
				t.Errorf("no %s was interrupted", kind)
			}
		}
	})
}

const interruptedSize = 5 * blockSize

var errWrong = errors.New("another result than was to be expected")

func sameBytes(got []byte, off int64) error {
	if testutil.CheckPattern(got, off) >= 0 {
		return errWrong
	}
	return nil
}

// interruptedFile makes every call on a File that asks the server.
func interruptedFile(check func(string, error), e *ringfile.Engine, dir string, rng *rand.Rand) {
	ctx := context.Background()
	f, err := e.OpenFile(filepath.Join(dir, "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if check("OpenFile", err); err != nil {
		return
	}
	defer f.Close()
	check("Allocate", f.Allocate(0, 100, 0))
	p := make([]byte, blockSize)
	for off := int64(0); off < interruptedSize; off += blockSize {
		testutil.Pattern(p, off)
		switch rng.IntN(5) {
		case 0:
			_, err = f.WriteAt(p, off)
		case 1:
			_, err = f.WriteAtContext(ctx, p, off)
		case 2:
			_, err = f.StartWriteAt(p, off).Await()
		case 3:
			_, err = f.WritevAt([][]byte{p[:100], p[100:]}, off)
		default:
			f.Seek(off, io.SeekStart)
			_, err = f.Write(p)
		}
		check("write", err)
	}
	check("Truncate", f.Truncate(interruptedSize))
	check("Chmod", f.Chmod(0o640))
	for _, sync := range []func() error{f.Sync, f.Datasync, func() error { return f.SyncContext(ctx) },
		func() error { _, err := f.StartSync().Await(); return err }} {
		check("sync", sync())
	}
	st, err := f.Stat()
	check("Stat", err)
	if err == nil && st.Size() != interruptedSize {
		check("Stat", errWrong)
	}
	_, _, err = f.NextData(0)
	check("NextData", err)
	for off := int64(0); off < interruptedSize; off += blockSize {
		clear(p)
		switch rng.IntN(6) {
		case 0:
			_, err = f.ReadAt(p, off)
		case 1:
			_, err = f.ReadAtContext(ctx, p, off)
		case 2:
			_, err = f.StartReadAt(p, off).Await()
		case 3:
			_, err = f.ReadvAt([][]byte{p[:100], p[100:]}, off)
		case 4:
			_, err = f.ReadAtMulti([][]byte{p[:100], p[100:]}, []int64{off, off + 100})
		default:
			f.Seek(off, io.SeekStart)
			_, err = io.ReadFull(f, p)
		}
		check("read", err)
		check("read", sameBytes(p, off))
	}
}

// interruptedNames makes the calls on names.
func interruptedNames(check func(string, error), e *ringfile.Engine, dir string, rng *rand.Rand) {
	ctx, s := context.Background(), fsys.On(e)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	data := make([]byte, interruptedSize)
	testutil.Pattern(data, 0)
	check("WriteFile", s.WriteFile(ctx, a, data, 0o600))
	check("Chmod", s.Chmod(ctx, a, 0o644))
	check("Truncate", s.Truncate(ctx, a, interruptedSize))
	_, err := s.Stat(ctx, a)
	check("Stat", err)
	check("Rename", s.Rename(ctx, a, b))
	check("Link", s.Link(ctx, b, a))
	check("Symlink", s.Symlink(ctx, "a", filepath.Join(dir, "link")))
	_, err = s.Readlink(ctx, filepath.Join(dir, "link"))
	check("Readlink", err)
	check("MkdirAll", s.MkdirAll(ctx, filepath.Join(dir, "x", "y"), 0o700))
	var names []string
	check("WalkDir", s.WalkDir(ctx, dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, filepath.Base(path))
		return err
	}))
	if !slices.Equal(names, []string{"sub", "a", "b", "link", "x", "y"}) {
		check("WalkDir", errWrong)
	}
	got, err := s.ReadFile(ctx, b)
	check("ReadFile", err)
	check("ReadFile", sameBytes(got, 0))
	check("Remove", s.Remove(ctx, a))
	check("ReplaceFile", durable.ReplaceFile(ctx, b, data[:100], 0o600))
	got, err = e.ReadFile(b)
	check("ReadFile", err)
	if !bytes.Equal(got, data[:100]) {
		check("ReplaceFile", errWrong)
	}
}

// interruptedStreams writes a file and reads it.
func interruptedStreams(check func(string, error), e *ringfile.Engine, dir string, rng *rand.Rand) {
	f, err := e.Create(filepath.Join(dir, "file"))
	if check("Create", err); err != nil {
		return
	}
	defer f.Close()
	data := make([]byte, interruptedSize)
	testutil.Pattern(data, 0)
	config := stream.Config{BufferSize: blockSize, Uncached: rng.IntN(2) == 0}
	w := stream.NewWriter(f, config)
	_, err = w.Write(data)
	check("Writer", err)
	check("Writer.Close", w.Close())
	r := stream.NewReader(f, config)
	got, err := io.ReadAll(r)
	check("Reader", err)
	check("Reader", sameBytes(got, 0))
	check("Reader.Close", r.Close())
	ranges := func(yield func(stream.Range) bool) {
		for off := int64(interruptedSize - 1000); off >= 0; off -= 1000 {
			if !yield(stream.Range{File: f, Off: off, Len: 1000}) {
				return
			}
		}
	}
	for b, err := range stream.Ranges(context.Background(), ranges, stream.RangesConfig{}) {
		check("Ranges", err)
		check("Ranges", sameBytes(b.Data, b.Off))
	}
}

// interruptedCopies copies a file with a hole, in several ways.
func interruptedCopies(check func(string, error), e *ringfile.Engine, dir string, rng *rand.Rand) {
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	data := make([]byte, interruptedSize)
	testutil.Pattern(data, 0)
	check("WriteFile", e.WriteFile(src, data, 0o600))
	for range 2 { // creates dst, and overwrites it
		n, err := copyfile.Copy(context.Background(), dst, src, copyfile.Config{Engine: e, Uncached: rng.IntN(2) == 0})
		check("Copy", err)
		got, err := e.ReadFile(dst)
		check("ReadFile", err)
		if n != interruptedSize || !bytes.Equal(got, data) {
			check("Copy", errWrong)
		}
	}
	from, err := e.Open(src)
	check("Open", err)
	to, err := e.Create(dst)
	check("Create", err)
	defer from.Close()
	defer to.Close()
	_, err = io.Copy(to, from)
	check("io.Copy", err)
	got, err := e.ReadFile(dst)
	check("ReadFile", err)
	if !bytes.Equal(got, data) {
		check("io.Copy", errWrong)
	}
}
