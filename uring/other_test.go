//go:build !linux

package uring

import (
	"errors"
	"syscall"
	"testing"
)

func TestNewUnsupported(t *testing.T) {
	if _, err := New(Config{Entries: 8}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestFakeUnsupported checks that the calls which need a kernel say so.
func TestFakeUnsupported(t *testing.T) {
	r, _, err := NewFake(4, 8, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Probe(); err == nil {
		t.Error("Probe: got no error")
	}
	if err := r.RegisterFilesSparse(4); err == nil {
		t.Error("RegisterFilesSparse: got no error")
	}
	var errno syscall.Errno
	if _, errno = sysEnter(3, 0, 0, 0); errno != syscall.ENOSYS {
		t.Errorf("enter: got %v, want %v", errno, syscall.ENOSYS)
	}
	if _, errno = sysEnterArg(3, 0, 0, 0, nil); errno != syscall.ENOSYS {
		t.Errorf("enter with a timeout: got %v, want %v", errno, syscall.ENOSYS)
	}
	if _, errno = sysRegister(3, RegUnregFiles, noArg, 0); errno != syscall.ENOSYS {
		t.Errorf("register: got %v, want %v", errno, syscall.ENOSYS)
	}
	if err := closeFD(3); err != nil {
		t.Errorf("close: got %v, want nil", err)
	}
}
