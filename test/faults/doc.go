// Package faults is a disk that fails on command, for tests of ringfile on real file systems.
//
// A child process serves one file by FUSE; a loop device over that file is the disk. Each read,
// write and flush of the disk passes the child, which can delay it, hold it back or fail it, and
// writes down what was written when. Nothing but root is needed: no device mapper, no virtual
// machine.
//
// The child is a second process because a program that hangs on a disk that it serves itself cannot
// let go of it, and it cleans up: when its parent ends, or is silent for long, it lets all requests
// go, unmounts and ends, so that nothing is left hanging.
package faults
