package ringfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
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
