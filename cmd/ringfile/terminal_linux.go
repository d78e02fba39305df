package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminal returns the descriptor of w if it is a terminal that obeys control sequences.
func terminal(w io.Writer) (fd int, ok bool) {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
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
