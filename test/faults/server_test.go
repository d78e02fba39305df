package faults_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	nodes "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/chain"
	"github.com/ringfile/ringfile/fsys"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// silentServer is a file server that shows a directory, and may fall silent: it holds back requests
// of one kind until it is told to go on.
type silentServer struct {
	fuse.RawFileSystem
	mu      sync.Mutex
	silent  string        // the kind of request that is held back
	goOn    chan struct{} // closed when it no longer is
	holding int           // requests that are held back
}

// newSilentServer starts a server of one file of blockSize bytes, and returns where it is mounted.
func newSilentServer(t *testing.T) (s *silentServer, dir string) {
	t.Helper()
	if err := faults.Possible(); err != nil {
		t.Skip(err)
	}
	behind, dir := t.TempDir(), t.TempDir()
	p := make([]byte, blockSize)
	testutil.Pattern(p, 0)
	if err := os.WriteFile(filepath.Join(behind, "file"), p, 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := nodes.NewLoopbackRoot(behind)
	if err != nil {
		t.Fatal(err)
	}
	s = &silentServer{RawFileSystem: nodes.NewNodeFS(root, &nodes.Options{})}
	server, err := fuse.NewServer(s, dir, &fuse.MountOptions{DirectMountStrict: true, FsName: "ringfile-silent"})
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.hold("")
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return s, dir
}

// hold has the server hold back requests of this kind alone, none if that is empty.
func (s *silentServer) hold(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.goOn != nil {
		close(s.goOn)
	}
	s.silent, s.goOn = kind, make(chan struct{})
}

// held returns how many requests are held back.
func (s *silentServer) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding
}

// pass returns when a request of this kind may be answered.
func (s *silentServer) pass(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent != kind {
		return
	}
	goOn := s.goOn
	s.holding++
	s.mu.Unlock()
	<-goOn
	s.mu.Lock()
	s.holding--
}

func (s *silentServer) GetAttr(c <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.pass("getattr")
	return s.RawFileSystem.GetAttr(c, in, out)
}

func (s *silentServer) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.pass("setattr")
	return s.RawFileSystem.SetAttr(c, in, out)
}

func (s *silentServer) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	s.pass("open")
	status := s.RawFileSystem.Open(c, in, out)
	out.OpenFlags, out.BackingID = fuse.FOPEN_DIRECT_IO, 0 // so that reads are requests
	return status
}

func (s *silentServer) OpenDir(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	s.pass("opendir")
	return s.RawFileSystem.OpenDir(c, in, out)
}

func (s *silentServer) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	s.pass("create")
	return s.RawFileSystem.Create(c, in, name, out)
}

func (s *silentServer) Mkdir(c <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	s.pass("mkdir")
	return s.RawFileSystem.Mkdir(c, in, name, out)
}

func (s *silentServer) Read(c <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	s.pass("read")
	return s.RawFileSystem.Read(c, in, buf)
}

func (s *silentServer) Flush(c <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	s.pass("flush")
	return s.RawFileSystem.Flush(c, in)
}

func (s *silentServer) Fsync(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	s.pass("fsync")
	return s.RawFileSystem.Fsync(c, in)
}

func (s *silentServer) Fallocate(c <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	s.pass("fallocate")
	return s.RawFileSystem.Fallocate(c, in)
}

func (s *silentServer) StatFs(c <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s.pass("statfs")
	return s.RawFileSystem.StatFs(c, in, out)
}

// silentCall is a call with a context on a server that holds a kind of request back. name is that of
// the file, f the same opened, p a buffer.
type silentCall struct {
	name, kind string
	do         func(ctx context.Context, s fsys.FS, f *ringfile.File, p []byte) error
}

var silentCalls = []silentCall{
	{"File.Truncate by Call", "setattr", func(ctx context.Context, _ fsys.FS, f *ringfile.File, _ []byte) error {
		return f.Engine().Call(ctx, f.Name(), func() error { return f.Truncate(blockSize) })
	}},
	{"File.Allocate by Call", "fallocate", func(ctx context.Context, _ fsys.FS, f *ringfile.File, _ []byte) error {
		return f.Engine().Call(ctx, f.Name(), func() error { return f.Allocate(0, blockSize, 0) })
	}},
	{"File.Sync", "fsync", func(ctx context.Context, _ fsys.FS, f *ringfile.File, _ []byte) error {
		return f.SyncContext(ctx)
	}},
	{"File.Sync, the first", "statfs", func(ctx context.Context, _ fsys.FS, f *ringfile.File, _ []byte) error {
		return f.SyncContext(ctx)
	}},
	{"File.ReadAt", "read", func(ctx context.Context, _ fsys.FS, f *ringfile.File, p []byte) error {
		_, err := f.ReadAtContext(ctx, p, 0)
		return err
	}},
	{"File.Close", "flush", func(ctx context.Context, _ fsys.FS, f *ringfile.File, _ []byte) error {
		return f.CloseContext(ctx)
	}},
	{"OpenFile", "open", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		_, err := s.Open(ctx, f.Name())
		return err
	}},
	{"Stat", "getattr", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		_, err := s.Stat(ctx, filepath.Dir(f.Name()))
		return err
	}},
	{"Chmod", "setattr", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		return s.Chmod(ctx, f.Name(), 0o600)
	}},
	{"Chown", "setattr", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		return s.Chown(ctx, f.Name(), -1, os.Getgid())
	}},
	{"ReadDir", "opendir", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		_, err := s.ReadDir(ctx, filepath.Dir(f.Name()))
		return err
	}},
	{"WalkDir", "getattr", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		return s.WalkDir(ctx, filepath.Dir(f.Name()), func(_ string, _ fs.DirEntry, err error) error { return err })
	}},
	{"WalkDir", "opendir", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		return s.WalkDir(ctx, filepath.Dir(f.Name()), func(_ string, _ fs.DirEntry, err error) error { return err })
	}},
	{"CreateTemp", "create", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		_, err := s.CreateTemp(ctx, filepath.Dir(f.Name()), "")
		return err
	}},
	{"MkdirTemp", "mkdir", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		_, err := s.MkdirTemp(ctx, filepath.Dir(f.Name()), "")
		return err
	}},
	{"WriteFile", "flush", func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
		p := make([]byte, blockSize)
		testutil.Pattern(p, 0)
		return s.WriteFile(ctx, f.Name(), p, 0)
	}},
}

func init() {
	for _, kind := range []string{"open", "getattr", "read", "flush"} {
		silentCalls = append(silentCalls, silentCall{"ReadFile", kind,
			func(ctx context.Context, s fsys.FS, f *ringfile.File, _ []byte) error {
				_, err := s.ReadFile(ctx, f.Name())
				return err
			}})
	}
	for _, kind := range []string{"read", "fsync"} {
		silentCalls = append(silentCalls, silentCall{"Chain", kind,
			func(ctx context.Context, _ fsys.FS, f *ringfile.File, p []byte) error {
				var c chain.Chain
				c.ReadAt(f, p, 0)
				c.WriteAt(f, p, 0)
				c.Datasync(f)
				return c.RunContext(ctx)
			}})
	}
}

// TestSilentServer: a call with a context returns on time from a file server that does not answer,
// its buffer is the caller's again, Stats tells what is going on, and nothing is left when the
// server has answered.
func TestSilentServer(t *testing.T) {
	server, dir := newSilentServer(t)
	for _, c := range silentCalls {
		t.Run(c.name+"/"+c.kind, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f := open(t, e, filepath.Join(dir, "file"), 0)
				defer server.hold("") // whatever happens
				server.hold(c.kind)
				// ReadFile and its like close the file at the end, whose error nobody wants.
				ignored := c.kind == "flush" && strings.HasPrefix(c.name, "ReadFile")
				p := make([]byte, blockSize)
				start := time.Now()
				err := within(func(ctx context.Context) error {
					return c.do(ctx, fsys.On(e), f, p)
				})
				var pe *fs.PathError
				bare := strings.HasSuffix(c.name, "by Call") // Engine.Call knows no operation to name
				if (!errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &pe) && !bare) && !(ignored && err == nil) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > onTime {
					t.Errorf("returned after %v", took)
				}
				if age := e.Stats().OldestInFlight; age < patience/2 || server.held() == 0 {
					t.Errorf("the oldest call is %v old, %d are held back", age, server.held())
				}
				if c.kind != "flush" {
					if err := f.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
				for i := range p { // the buffer is the caller's
					p[i] = 0xa5
				}
				server.hold("")
				awaitQuiet(e)
				f.Close()
				for i := range p {
					if p[i] != 0xa5 {
						t.Fatalf("the buffer was changed after the return, at %d", i)
					}
				}
				checkServed(t, dir)
			})
		})
	}
}

// checkServed checks that nothing is open below dir, and that there is one file.
func checkServed(t *testing.T, dir string) {
	t.Helper()
	var left string
	await(func() bool { // descriptors are closed a moment after calls have ended
		left = ""
		for _, fd := range testutil.OpenDescriptors() {
			if strings.Contains(fd, dir+"/") {
				left = fd
			}
		}
		return left == ""
	})
	entries, err := os.ReadDir(dir)
	if len(entries) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestAppendOnSilentServer appends to a file, in time, on a server that does not say how long it is.
func TestAppendOnSilentServer(t *testing.T) {
	server, dir := newSilentServer(t)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f := open(t, e, filepath.Join(dir, "file"), os.O_APPEND)
		defer f.Close()
		defer server.hold("")
		server.hold("getattr")
		wrote := make(chan error, 1)
		go func() {
			_, err := f.WriteContext(t.Context(), []byte("text"))
			wrote <- err
		}()
		select {
		case err := <-wrote:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(onTime):
			t.Error("WriteContext waits for the server")
		}
		server.hold("")
		pos, err := f.Seek(0, io.SeekCurrent)
		if st, err1 := f.Stat(); err != nil || err1 != nil || pos != st.Size() {
			t.Errorf("the position is %d of %d, %v, %v", pos, st.Size(), err, err1)
		}
	})
}

// TestStartOnSilentServer starts a sync, the first on a file system: that does not wait.
func TestStartOnSilentServer(t *testing.T) {
	server, dir := newSilentServer(t)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f := open(t, e, filepath.Join(dir, "file"), 0)
		defer f.Close()
		defer server.hold("")
		server.hold("statfs")
		future := f.StartSync()
		select {
		case <-future.Done():
			t.Error("the sync has not asked what file system it is")
		default:
		}
		server.hold("")
		if _, err := future.Await(); err != nil {
			t.Error(err)
		}
	})
}
