// Package testpty is what Go's tests of os use of internal/testpty.
package testpty

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile/internal/osconform/os"
)

// Open returns the controlling side of a new pseudo-terminal and the name of the other side.
func Open() (pty *os.File, terminal string, err error) {
	pty, err = os.OpenFile("/dev/ptmx", unix.O_RDWR, 0)
	if err != nil {
		return nil, "", err
	}
	conn, err := pty.SyscallConn()
	if err != nil {
		pty.Close()
		return nil, "", err
	}
	var number int
	err1 := conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err == nil {
		err = err1
	}
	if err != nil {
		pty.Close()
		return nil, "", err
	}
	return pty, fmt.Sprintf("/dev/pts/%d", number), nil
}
