package ringfile

import (
	"bytes"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// getxattr asks with room for most values, and for the length if that is not enough.
func (s FileSystem) getxattr(c call) ([]byte, error) {
	for c.value = make([]byte, 256); ; {
		n, err := s.getxattrInto(c)
		if err == nil && n <= len(c.value) {
			return c.value[:n:n], nil
		}
		if err != nil && !errors.Is(err, syscall.ERANGE) {
			return nil, err
		}
		c.value = nil // then the length is returned
		if n, err = s.getxattrInto(c); err != nil {
			return nil, err
		}
		c.value = make([]byte, n+16) // it may grow in the meantime
	}
}

// getxattrInto makes one call; it returns the length of the attribute.
func (s FileSystem) getxattrInto(c call) (int, error) {
	if s.ctx != nil {
		e, err := s.admit(&c)
		if err != nil {
			return 0, err
		}
		if e.offers(c.op) {
			if n, handled, err := s.onRing(e, &pathCall{call: c, dir: atCwd}); handled {
				return n, err
			}
		}
	}
	return value(s, c, func() (n int, err error) {
		err = retryEINTR(func() error {
			n, err = unix.Getxattr(c.name, c.other, c.value)
			return err
		})
		return n, c.wrap(err)
	}, nil)
}

func setxattr(name, attr string, data []byte) error {
	return (&call{word: "setxattr", name: name}).wrap(retryEINTR(func() error { return unix.Setxattr(name, attr, data, 0) }))
}

func removexattr(name, attr string) error {
	return (&call{word: "removexattr", name: name}).wrap(retryEINTR(func() error { return unix.Removexattr(name, attr) }))
}

func listxattr(name string) ([]string, error) {
	for list := []byte(nil); ; {
		n, err := unix.Listxattr(name, list)
		switch {
		case err == syscall.EINTR:
		case err == syscall.ERANGE || err == nil && n > len(list):
			list = make([]byte, max(n, 2*len(list))+64) // it may grow in the meantime
		case err != nil:
			return nil, (&call{word: "listxattr", name: name}).wrap(err)
		default:
			var all []string
			for attr := range bytes.SplitSeq(list[:n], []byte{0}) {
				if len(attr) > 0 {
					all = append(all, string(attr))
				}
			}
			return all, nil
		}
	}
}
