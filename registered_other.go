//go:build !linux

package ringfile

import "errors"

func newFixedMemory(n, size int) (*fixedMemory, error) { return nil, errors.ErrUnsupported }

func (m *fixedMemory) unmap() {}

func (g *registry) register(*Engine, int, []byte) error { return errors.ErrUnsupported }

func (g *registry) unregister(*Engine, int) {}

func unregistered(err error) *UnavailableError {
	return &UnavailableError{Op: "register", Err: err, feature: "registered buffers are"}
}
