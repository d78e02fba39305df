//go:build linux || darwin || windows

package sysio

// control makes a system call on the descriptor.
func (h Handle) control(call func(fd uintptr) error) error {
	conn, err := h.OS.SyscallConn()
	if err != nil {
		return err
	}
	if err1 := conn.Control(func(fd uintptr) { err = call(fd) }); err1 != nil {
		return err1
	}
	return err
}
