//go:build !linux

package ringfile_test

const oDirect = 0
