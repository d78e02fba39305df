//go:build linux

package fsx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// makers are the commands that make a file system, by its type.
var makers = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// imageSize is enough for each of them.
const imageSize = 512 << 20

// Mount makes a file system of the given type (ext4, xfs or btrfs on a loop device with its image in
// dir; tmpfs), mounts it and returns where. It needs root and the mkfs command. The returned
// function undoes all of it.
func Mount(ctx context.Context, kind, dir string) (at string, undo func() error, err error) {
	maker, ok := makers[kind]
	if !ok && kind != "tmpfs" {
		return "", nil, fmt.Errorf("unknown file system %q", kind)
	}
	if os.Geteuid() != 0 {
		return "", nil, errors.New("mounting needs root")
	}
	top, err := os.MkdirTemp(dir, "fsx-mount-")
	if err != nil {
		return "", nil, err
	}
	at = filepath.Join(top, kind)
	defer func() {
		if err != nil {
			os.RemoveAll(top)
		}
	}()
	if err = os.Mkdir(at, 0o700); err != nil {
		return "", nil, err
	}
	args := []string{"-t", "tmpfs", "-o", fmt.Sprintf("size=%d", imageSize), "fsx", at}
	if ok {
		image := filepath.Join(top, "image")
		if err = os.WriteFile(image, nil, 0o600); err != nil {
			return "", nil, err
		}
		if err = os.Truncate(image, imageSize); err != nil {
			return "", nil, err
		}
		if err = command(ctx, maker[0], append(maker[1:], image)...); err != nil {
			return "", nil, err
		}
		args = []string{"-t", kind, "-o", "loop", image, at}
	}
	if err = command(ctx, "mount", args...); err != nil {
		return "", nil, err
	}
	return at, func() error {
		var err error
		for range 50 {
			if err = command(context.Background(), "umount", at); err == nil {
				return os.RemoveAll(top)
			}
			time.Sleep(100 * time.Millisecond) // a process that has just ended may still be closing its files
		}
		return err
	}, nil
}

// command runs a command of an administrator.
func command(ctx context.Context, name string, args ...string) error {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
