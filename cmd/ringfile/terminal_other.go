//go:build !linux

package main

import "io"

// terminal knows no terminals: there is no progress bar on this system.
func terminal(io.Writer) (fd int, ok bool) { return -1, false }

// isTerminal knows none either: the summary of sum is for -v.
func isTerminal(io.Writer) bool { return false }

func terminalWidth(int) int { return 80 }
