//go:build !linux

package clients_test

const direct = 0
