package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal of 100 columns.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be made (%v); Linux can, unless a container forbids it", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestProgressOnTerminal runs the program with stderr on a terminal, on a pipe, and with -q.
func TestProgressOnTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		flags   []string
		term    string
		wantBar bool
	}{
		{"terminal", nil, "xterm", true},
		{"dumb terminal", nil, "dumb", false},
		{"quiet", []string{"-q"}, "xterm", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			master, slave := openTerminal(t)
			cmd := child(t, "", append(append([]string{"sum"}, c.flags...), file, "-")...)
			cmd.Env = append(cmd.Env, "TERM="+c.term)
			cmd.Stderr = slave
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The bar comes after a moment, so the input must take longer.
			seen := make(chan string)
			bar := make(chan struct{})
			go func() {
				var text strings.Builder
				buf := make([]byte, 4096)
				for first := true; ; {
					n, err := master.Read(buf)
					text.Write(buf[:n])
					if first && strings.Contains(text.String(), "\x1b[K") {
						first = false
						close(bar)
					}
					if err != nil { // EIO when the last user of the other end is gone
						seen <- text.String()
						return
					}
				}
			}()
			if c.wantBar {
				<-bar
			}
			io.WriteString(in, "the end")
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			slave.Close()
			text := <-seen
			if got := strings.Contains(text, "\x1b[K"); got != c.wantBar {
				t.Errorf("a bar: got %v, want %v: %q", got, c.wantBar, text)
			}
			if got, want := strings.Contains(text, "ringfile sum: 2 files, "), c.name != "quiet"; got != want {
				t.Errorf("a summary: got %v, want %v: %q", got, want, text)
			}
			if c.wantBar && !strings.Contains(text, "\r1 file  1.00 kB  ") {
				t.Errorf("got %q", text)
			}
			if at := strings.LastIndex(text, "\r\x1b[K"); c.wantBar && !strings.HasPrefix(text[at:], "\r\x1b[Kringfile sum: 2 files, ") {
				t.Errorf("the bar is not cleared before the summary: %q", text)
			}
		})
	}
}
