package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	_, ok := terminalFile(w)
	return ok
}

// terminal returns the descriptor of w if it is a terminal that obeys control sequences.
func terminal(w io.Writer) (fd int, ok bool) {
	fd, ok = terminalFile(w)
	return fd, ok && os.Getenv("TERM") != "dumb"
}

func terminalFile(w io.Writer) (fd int, ok bool) {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return -1, false
	}
	fd = int(f.Fd())
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return fd, err == nil
}

// terminalWidth returns the number of columns of a terminal, 80 if it does not tell.
func terminalWidth(fd int) int {
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}
