//go:build !linux

package mapped_test

const oDirect = 0
