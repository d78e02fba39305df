package faults_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/test/faults"
)

// orphanEnv has this program be the one that TestKilled kills.
const orphanEnv = "RINGFILE_FAULTS_ORPHAN"

// orphan makes a disk that hangs, hangs on it with a thread, and says so.
func orphan() {
	d, err := faults.Start(faults.Config{FS: "ext4"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	d.Set(faults.Rule{Effect: faults.Hang})
	go func() {
		p, _ := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		f, _ := os.OpenFile(d.Device, os.O_RDONLY|unix.O_DIRECT, 0)
		f.ReadAt(p, 0)
	}()
	await(func() bool { c, _ := d.Counts(); return c.Hanging > 0 })
	fmt.Println(d.Mount)
	select {}
}

// TestKilled: a program that is killed while it hangs on its disk leaves nothing behind that hangs.
func TestKilled(t *testing.T) {
	defer testutil.Watchdog(t, 2*time.Minute)()
	newDisk(t, faults.Config{}) // or skip
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), orphanEnv+"=1", "RINGFILE_FAULTS_SILENCE=3s")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	dir := filepath.Dir(strings.TrimSpace(line))
	if !mountedBelow(t, dir) {
		cmd.Process.Kill()
		t.Fatalf("the program to be killed says %q, and nothing is mounted there", line)
	}
	cmd.Process.Kill()
	cmd.Wait() // ends only when its thread does
	await(func() bool { return !mountedBelow(t, dir) })
	await(func() bool {
		faults.Sweep()
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
}

// mountedBelow reports whether something is mounted below dir.
func mountedBelow(t *testing.T, dir string) bool {
	t.Helper()
	p, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(p), " "+dir+"/")
}
