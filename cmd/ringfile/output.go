package main

import (
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// output is stdout, and remembers the first error, so that no command ends well whose output is
// not complete. It is not safe for concurrent use.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// endSignals are the signals that end the work in good order. One that the program was started to
// ignore stays ignored: nohup does that with SIGHUP, and a shell with SIGINT for what it runs in
// the background. Asking to be notified of it would undo that.
func endSignals() []os.Signal {
	return slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}, signal.Ignored)
}
