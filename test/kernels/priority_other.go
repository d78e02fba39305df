//go:build !unix

package main

func preferDevices(int) {}
