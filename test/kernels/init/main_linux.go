// Init is process 1 of a guest of the kernel matrix: it mounts what there is to mount, runs the
// steps of its plan one after the other and turns the machine off.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/test/kernels/plan"
)

func main() {
	if filepath.Base(os.Args[0]) == "true" {
		return // true(1), for the tests that want some program to start
	}
	defer powerOff()
	mount("proc", "/proc", "proc")
	mount("sys", "/sys", "sysfs")
	mount("dev", "/dev", "devtmpfs")
	mount("pts", "/dev/pts", "devpts")
	mount("shm", "/dev/shm", "tmpfs")
	mount("tmp", "/tmp", "tmpfs")

	out, err := openResults()
	if err != nil {
		fmt.Println("no way to report:", err)
		return
	}
	fmt.Fprintln(out, plan.Boot+release())
	if err := run(out); err != nil {
		fmt.Fprintln(out, plan.Kernel+"init: "+err.Error())
	}
	for _, line := range complaints() {
		fmt.Fprintln(out, plan.Kernel+line)
	}
	fmt.Fprintln(out, plan.Done)
	unix.IoctlSetInt(int(out.Fd()), unix.TCSBRK, 1) // wait until all of it is out
}

func powerOff() {
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func mount(source, dir, kind string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, dir, kind, 0, ""); err != nil && err != unix.EBUSY {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

// openResults opens the serial line for results and has it pass bytes on as they are.
func openResults() (*os.File, error) {
	fd, err := unix.Open(plan.Results, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	mode.Oflag &^= unix.OPOST
	mode.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	return os.NewFile(uintptr(fd), plan.Results), unix.IoctlSetTermios(fd, unix.TCSETS, mode)
}

func release() string {
	var u unix.Utsname
	unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func run(out *os.File) error {
	text, err := os.ReadFile(plan.File)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	for _, name := range p.Modules {
		if err := loadModule(filepath.Join(plan.Modules, name)); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	if err := linkNameSpaces(3); err != nil {
		return err
	}
	for dir, device := range map[string]string{plan.Ext4: "/dev/matrix-ns2", plan.XFS: "/dev/matrix-ns3"} {
		if err := mount(device, dir, strings.TrimPrefix(dir, "/")); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o1777); err != nil {
			return err
		}
	}
	for _, s := range p.Steps {
		step(out, s)
	}
	return nil
}

func loadModule(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

// linkNameSpaces waits for n name spaces and makes /dev/matrix-ns<number> links to them: kernels scan
// for them in the background, from 6.11 on, and the numbers in their own names follow no order.
func linkNameSpaces(n int) error {
	for range 1000 {
		seen := 0
		all, _ := filepath.Glob("/sys/block/nvme*/nsid")
		for _, file := range all {
			number, err := os.ReadFile(file)
			device := filepath.Base(filepath.Dir(file))
			if _, missing := os.Stat("/dev/" + device); err != nil || missing != nil {
				continue
			}
			seen++
			os.Symlink(device, "/dev/matrix-ns"+strings.TrimSpace(string(number)))
		}
		if seen >= n {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("fewer than %d NVMe name spaces after 10 seconds", n)
}

// step runs s. At the end of its time it gets SIGQUIT, on which Go programs dump their goroutines.
func step(out io.Writer, s plan.Step) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.Seconds)*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, s.Argv[0], s.Argv[1:]...)
	c.Cancel = func() error { return c.Process.Signal(unix.SIGQUIT) }
	c.WaitDelay = 20 * time.Second
	c.Stdout, c.Stderr = out, out
	c.Env = append([]string{"PATH=/", "HOME=/tmp", "KM_GUEST=1"}, s.Env...)
	c.Dir = "/tmp"
	fmt.Fprintf(out, "%s%s\n", plan.Begin, s.Name)
	start := time.Now()
	err := c.Run()
	code := c.ProcessState.ExitCode()
	if err != nil {
		fmt.Fprintf(out, "\n%s: %v\n", s.Name, err)
	}
	if ctx.Err() != nil {
		fmt.Fprintf(out, "not done after %d seconds\n", s.Seconds)
	}
	fmt.Fprintf(out, "\n%s%s %d %.2f\n", plan.End, s.Name, code, time.Since(start).Seconds())
}

var complaint = regexp.MustCompile(`BUG|WARNING:|Oops|general protection|blocked for more than|stall|soft lockup|RIP:|rror on|hung`)

// complaints returns what the kernel's log has on trouble.
func complaints() (lines []string) {
	buf := make([]byte, 4<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return []string{"no log: " + err.Error()}
	}
	for line := range strings.Lines(string(buf[:n])) {
		if complaint.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
