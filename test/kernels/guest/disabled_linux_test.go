package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile"
)

const sysctl = "/proc/sys/kernel/io_uring_disabled"

// TestDisabled forbids io_uring by sysctl, for all or for the unprivileged, and has programs run
// under it. The sysctl is for the whole machine: hence in a guest.
func TestDisabled(t *testing.T) {
	needGuest(t)
	if _, err := os.Stat(sysctl); err != nil {
		t.Skip("this kernel has no such sysctl:", err)
	}
	// A ring from before goes on.
	e, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const nobody = 65534
	for _, tt := range []struct {
		value string
		uid   uint32
		want  string // in the hint, if io_uring is refused
	}{
		{"0", 0, ""},
		{"0", nobody, ""},
		{"1", 0, ""},
		{"1", nobody, "kernel.io_uring_disabled is 1; set it to 0, or add this user to the group in kernel.io_uring_group"},
		{"2", 0, "kernel.io_uring_disabled is 2; set it to 0"},
		{"2", nobody, "kernel.io_uring_disabled is 2; set it to 0"},
	} {
		t.Run(fmt.Sprintf("%s uid %d", tt.value, tt.uid), func(t *testing.T) {
			if err := os.WriteFile(sysctl, []byte(tt.value), 0); err != nil {
				t.Fatal(err)
			}
			defer os.WriteFile(sysctl, []byte("0"), 0)
			dir := t.TempDir()
			for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
				if err := os.Chmod(d, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			c := exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), "GUEST_CHILD=disabled", "GUEST_DIR="+dir, "GUEST_WANT="+tt.want)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			name := filepath.Join(dir, "before")
			if err := roundTrip(e, name); err != nil {
				t.Error("an engine from before:", err)
			}
		})
	}
	if s := e.Stats(); s.Ring == 0 {
		t.Errorf("the engine from before did not use its ring: %+v", s)
	}
}

// useDisabled is a program that does not know whether io_uring is allowed. Its files work, and if
// GUEST_WANT is set, Available and RINGFILE_BACKEND=uring must say that.
func useDisabled() error {
	want := os.Getenv("GUEST_WANT")
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := roundTrip(e, filepath.Join(os.Getenv("GUEST_DIR"), "file")); err != nil {
		return err
	}
	os.Setenv("RINGFILE_BACKEND", "uring")
	strict, forced := ringfile.New(ringfile.Config{})
	if want == "" {
		if e.Backend() != ringfile.BackendURing || e.Available() != nil || forced != nil {
			return fmt.Errorf("got %v, %v, by force %v, want io_uring", e.Backend(), e.Available(), forced)
		}
		return strict.Close()
	}
	if e.Backend() != ringfile.BackendBlocking {
		return fmt.Errorf("backend: got %v, want %v", e.Backend(), ringfile.BackendBlocking)
	}
	for _, err := range []error{e.Available(), forced} {
		var why *ringfile.UnavailableError
		if !errors.As(err, &why) || !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("got %v, want EPERM and %q", err, want)
		}
	}
	return nil
}

// roundTrip writes to a new file, syncs it, prefetches it and reads it again.
func roundTrip(e *ringfile.Engine, name string) error {
	f, err := e.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	want := bytes.Repeat([]byte("data"), 5000)
	if _, err := f.WriteAt(want, 10); err != nil {
		return err
	}
	if _, err := f.StartSync().Await(); err != nil {
		return err
	}
	if err := f.Advise(0, int64(len(want)), ringfile.AdviceWillNeed); err != nil { // which goes through a ring, if there is one
		return err
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 10); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("read back: %v, or other data", err)
	}
	return nil
}
