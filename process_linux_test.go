package ringfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/enginetest"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/uring"
)

// TestCredentialChange becomes another user with an engine in use. A ring carries requests out with the
// credentials that the submitting thread has at that moment, not with those of its creation, as it is
// made without SQPOLL: what needs no permission goes on, what needs it is refused.
func TestCredentialChange(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	name := worldFile(t)
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runChild(t, "credentials", "RINGFILE_BACKEND=uring", "CHILD_FILE="+name); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func init() {
	children["credentials"] = func() int {
		if err := credentialsChild(os.Getenv("CHILD_FILE")); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

func credentialsChild(name string) error {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		return err
	}
	f, err := e.OpenFile(name, os.O_RDWR|oDirect, 0)
	if err != nil {
		return err
	}
	if err := exerciseFile(f); err != nil {
		return fmt.Errorf("as root: %w", err)
	}
	u, err := uring.New(uring.Config{Entries: 4})
	if err != nil {
		return err
	}
	if fd := openOn(u, name); fd < 0 {
		return fmt.Errorf("open on a ring as root: %w", syscall.Errno(-fd))
	}
	if err := becomeNobody(); err != nil {
		return err
	}
	if errno := syscall.Errno(-openOn(u, name)); errno != syscall.EACCES {
		return fmt.Errorf("open on root's ring as nobody: %w, want EACCES", errno)
	}
	before := e.Stats().Ring
	if err := exerciseFile(f); err != nil {
		return fmt.Errorf("as nobody: %w", err)
	}
	if after := e.Stats(); after.Ring == before || after.Broken != 0 {
		return fmt.Errorf("the ring is not used any more: %+v", after)
	}
	if _, err := e.Open(name); !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("open as nobody: %w, want a refusal", err)
	}
	return errors.Join(f.Close(), e.Close(), u.Close())
}

// openOn opens a file through u and returns what the kernel answers.
func openOn(u *uring.Ring, name string) int32 {
	path := append([]byte(name), 0)
	u.GetSQE().PrepOpenat(-100, &path[0], syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // AT_FDCWD
	if _, err := u.SubmitAndWait(1); err != nil {
		return -int32(syscall.EIO)
	}
	var c [1]uring.CQE
	u.CopyCQEs(c[:])
	return c[0].Res
}

// TestExecInherits starts a program while requests are in flight: it gets none of the rings.
func TestExecInherits(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.OpenFile(testutil.PatternFile(t, fileSize), os.O_RDONLY|oDirect, 0)
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(ringfile.AlignedBuffer(4096, 4096), 0); err != nil {
			t.Fatal(err)
		}
		var all []*ringfile.Future[int]
		for i := range 200 {
			all = append(all, f.StartReadAt(ringfile.AlignedBuffer(4096, 4096), int64(i)*4096))
		}
		out, err := exec.CommandContext(t.Context(), "ls", "-l", "/proc/self/fd").Output()
		if err != nil {
			t.Skip(err)
		}
		if strings.Contains(string(out), "io_uring") || strings.Contains(string(out), f.Name()) {
			t.Errorf("inherited:\n%s", out)
		}
		for _, future := range all {
			if n, err := future.Await(); n != 4096 || err != nil {
				t.Errorf("read = %d, %v", n, err)
			}
		}
	})
}

// TestExitInFlight ends a program with requests in flight, by a return from main and by a signal: it
// ends, and the file, to which it was writing what was there already, is intact.
func TestExitInFlight(t *testing.T) {
	for _, backend := range []string{"uring", "blocking"} {
		for _, how := range []string{"exit", "kill"} {
			t.Run(backend+"/"+how, func(t *testing.T) {
				if err := ringfile.Available(); err != nil && backend == "uring" {
					t.Skip(err)
				}
				defer testutil.Watchdog(t, time.Minute)()
				for range 5 {
					name := testutil.PatternFile(t, fileSize)
					out, err := runChild(t, "exit", "RINGFILE_BACKEND="+backend, "CHILD_FILE="+name, "CHILD_HOW="+how)
					var status *exec.ExitError
					killed := errors.As(err, &status) && status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
					if how == "exit" && err != nil || how == "kill" && !killed {
						t.Errorf("the child ended with %v\n%s", err, out)
					}
					data, err := os.ReadFile(name)
					if err != nil || len(data) != fileSize || testutil.CheckPattern(data, 0) >= 0 {
						t.Errorf("%d bytes are left, %v, wrong at %d", len(data), err, testutil.CheckPattern(data, 0))
					}
				}
			})
		}
	}
}

func init() {
	children["exit"] = func() int {
		f, err := ringfile.OpenFile(os.Getenv("CHILD_FILE"), os.O_RDWR|oDirect, 0)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		f.ReadAt(ringfile.AlignedBuffer(4096, 4096), 0)
		go func() {
			for i := 0; ; i++ {
				off := int64(i*4096) % fileSize
				buf := ringfile.AlignedBuffer(4096, 4096)
				if i%2 == 0 {
					testutil.Pattern(buf, off)
					f.StartWriteAt(buf, off)
				} else {
					f.StartReadAt(buf, off)
				}
			}
		}()
		e, err := ringfile.Default()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		for s := e.Stats(); s.InFlight < 50 && s.BlockingCalls == 0; s = e.Stats() {
		}
		if os.Getenv("CHILD_HOW") == "kill" {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return 0
	}
}

// blockable opens one end of a FIFO whose other end is the *os.File, and of a pipe.
var blockable = map[string]func(t *testing.T, e *ringfile.Engine, write bool) (*ringfile.File, *os.File){
	"FIFO": func(t *testing.T, e *ringfile.Engine, write bool) (*ringfile.File, *os.File) {
		name := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		both, err := os.OpenFile(name, os.O_RDWR, 0) // so that neither waits for the other
		if err != nil {
			t.Fatal(err)
		}
		defer both.Close()
		ours, theirs := os.O_RDONLY, os.O_WRONLY
		if write {
			ours, theirs = theirs, ours
		}
		f, err := e.OpenFile(name, ours, 0)
		if err != nil {
			t.Fatal(err)
		}
		o, err := os.OpenFile(name, theirs, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f, o
	},
	"pipe": func(t *testing.T, e *ringfile.Engine, write bool) (*ringfile.File, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if write {
			return e.Adopt(w), r
		}
		return e.Adopt(r), w
	},
}

// TestDupPipe gives a program a duplicate of a pipe that is full, or empty, for a while: it waits, as programs do.
func TestDupPipe(t *testing.T) {
	for name, open := range blockable {
		t.Run(name, func(t *testing.T) {
			enginetest.Backends(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				const size = 1 << 20
				start := func(f *ringfile.File, attach func(c *exec.Cmd, o *os.File)) *exec.Cmd {
					c := exec.Command("head", "-c", strconv.Itoa(size))
					if _, err := exec.LookPath("head"); err != nil {
						t.Skip(err)
					}
					o, err := f.Dup()
					if err != nil {
						t.Fatal(err)
					}
					attach(c, o)
					if err := c.Start(); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(o.Close(), f.Close()); err != nil {
						t.Error(err)
					}
					time.Sleep(50 * time.Millisecond) // for the program to meet a pipe that is full or empty
					return c
				}
				f, r := open(t, e, true)
				defer r.Close()
				c := start(f, func(c *exec.Cmd, o *os.File) {
					c.Stdin, c.Stdout = bytes.NewReader(make([]byte, size)), o
				})
				n, err := io.Copy(io.Discard, r)
				if n != size || err != nil {
					t.Errorf("%d bytes of a program's output, %v", n, err)
				}
				if err := c.Wait(); err != nil {
					t.Error("output:", err)
				}

				f, w := open(t, e, false)
				var out bytes.Buffer
				c = start(f, func(c *exec.Cmd, o *os.File) { c.Stdin, c.Stdout = o, &out })
				if _, err := w.Write(make([]byte, size)); err != nil {
					t.Error(err)
				}
				w.Close()
				if err := c.Wait(); err != nil || out.Len() != size {
					t.Errorf("input: %v, %d bytes", err, out.Len())
				}
			})
		})
	}
}

// TestCloseBlocking closes a pipe in blocking mode that is being read: as with os, Close does not wait for the reader,
// and later calls fail.
func TestCloseBlocking(t *testing.T) {
	for name, open := range blockable {
		t.Run(name, func(t *testing.T) {
			enginetest.Backends(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f, w := open(t, e, false)
				defer w.Close()
				f.Fd()
				read := make(chan struct{})
				go func() {
					defer close(read)
					f.Read(make([]byte, 1))
				}()
				time.Sleep(20 * time.Millisecond)
				closed := make(chan error, 1)
				go func() { closed <- f.Close() }()
				select {
				case err := <-closed:
					if err != nil {
						t.Error(err)
					}
				case <-time.After(10 * time.Second):
					t.Error("Close waits for the reader")
				}
				if n, err := f.Read(make([]byte, 1)); n != 0 || !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Read after Close = %d, %v", n, err)
				}
				w.Write([]byte("x"))
				<-read
			})
		})
	}
}
