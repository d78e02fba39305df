//go:build !linux

package ringfile

func (f *File) withoutDirect(do func() error) error { return do() }
