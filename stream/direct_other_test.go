//go:build !linux

package stream_test

const oDirect = 0
