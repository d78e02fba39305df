package fsys_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/fsys"
)

// TestStatAutomount asks for the mount point of an automounter, which the calls of os do not mount.
func TestStatAutomount(t *testing.T) {
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// The automounter is a program of another process group: what that asks for mounts nothing.
	daemon := exec.Command("sleep", "3600")
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := daemon.Start(); err != nil {
		t.Skip(err)
	}
	defer daemon.Wait()
	defer daemon.Process.Kill()
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", w.Fd(), daemon.Process.Pid)
	if err := unix.Mount("test", dir, "autofs", 0, options); err != nil {
		t.Skipf("no automounter: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)

	mounts := make(chan struct{})
	go func() {
		if n, _ := r.Read(make([]byte, 4096)); n > 0 {
			close(mounts)
		}
	}()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD=automount", "AUTOMOUNT="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-mounts:
		t.Error("asking for a mount point mounts it")
		cmd.Process.Kill()
		<-ended
	case <-time.After(2 * time.Minute):
		t.Error("the program hangs")
		cmd.Process.Kill()
		<-ended
	}
}

func init() { children["automount"] = statAutomount }

// statAutomount is a program of its own, as it hangs if it asks for something to be mounted.
func statAutomount() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir := os.Getenv("AUTOMOUNT")
	for _, ctx := range []context.Context{context.Background(), ctx} {
		if _, err := fsys.Stat(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if _, err := fsys.Lstat(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}
