//go:build !linux

package ringfile

import "context"

func (f *File) withoutDirect(_ context.Context, do func() error) error { return do() }
