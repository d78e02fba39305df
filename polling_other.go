//go:build !linux

package ringfile

func (f *File) pollQueues() ability { return unknown }
