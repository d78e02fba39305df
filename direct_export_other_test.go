//go:build !linux

package ringfile

const testDirect = 0
