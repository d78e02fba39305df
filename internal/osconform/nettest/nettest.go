// Package nettest is what Go's tests of os use of golang.org/x/net/nettest.
package nettest

import (
	"net"
	"os"
	"path/filepath"
)

// TestableNetwork reports whether a listener for network can be made.
func TestableNetwork(network string) bool {
	ln, err := NewLocalListener(network)
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// NewLocalListener listens on the loopback interface, or on a socket in the temporary directory.
func NewLocalListener(network string) (net.Listener, error) {
	switch network {
	case "unix", "unixpacket":
		dir, err := os.MkdirTemp("", "osconform")
		if err != nil {
			return nil, err
		}
		ln, err := net.Listen(network, filepath.Join(dir, "socket"))
		if err != nil {
			os.RemoveAll(dir)
			return nil, err
		}
		return &listener{ln, dir}, nil
	case "tcp6":
		return net.Listen(network, "[::1]:0")
	}
	return net.Listen(network, "127.0.0.1:0")
}

// listener removes the directory of its socket.
type listener struct {
	net.Listener
	dir string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	if err1 := os.RemoveAll(l.dir); err == nil {
		err = err1
	}
	return err
}
