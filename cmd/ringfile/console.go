package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// console is where the output goes: lines to stdout, messages and a progress bar to stderr. It
// keeps them apart where both are the same terminal. It is safe for concurrent use.
type console struct {
	mu        sync.Mutex
	out       *bufio.Writer
	err       io.Writer
	outShared bool      // stdout is a terminal, so the bar must be out of the way of lines
	bar       *progress // nil if there is none
	width     func() int
	shown     bool // the bar is on the screen
	stop      chan struct{}
	stopped   sync.WaitGroup
}

const (
	barDelay  = 300 * time.Millisecond // work that is done sooner needs no bar
	barPeriod = 100 * time.Millisecond
)

// newConsole returns a console without a progress bar.
func newConsole(stdout, stderr io.Writer) *console {
	_, shared := terminal(stdout)
	return &console{out: bufio.NewWriterSize(stdout, 64<<10), err: stderr, outShared: shared}
}

// show puts the bar onto the screen, after a moment, and keeps it up to date until hide.
func (c *console) show(bar *progress, width func() int) {
	c.bar, c.width, c.stop = bar, width, make(chan struct{})
	c.stopped.Go(func() {
		wait := time.NewTimer(barDelay)
		defer wait.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-wait.C:
			}
			c.mu.Lock()
			c.draw()
			c.mu.Unlock()
			wait.Reset(barPeriod)
		}
	})
}

// showFor shows the bar for work on the files and trees named, if stderr is a terminal, and finds
// out meanwhile how much there is to do.
func (c *console) showFor(ctx context.Context, bar *progress, stderr io.Writer, names []string) {
	fd, ok := terminal(stderr)
	if !ok {
		return
	}
	go func() {
		bar.totalKnown.Store(measure(ctx, names, func(files, bytes int64) {
			bar.totalFiles.Add(files)
			bar.totalBytes.Add(bytes)
		}))
	}()
	c.show(bar, func() int { return terminalWidth(fd) })
}

// hide takes the bar off the screen for good.
func (c *console) hide() {
	if c.stop == nil {
		return
	}
	close(c.stop)
	c.stopped.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	c.bar = nil
}

func (c *console) draw() {
	// One column stays free, as some terminals wrap when the last one is written.
	fmt.Fprintf(c.err, "\r%s\x1b[K", c.bar.render(c.width()-1, time.Now()))
	c.shown = true
}

func (c *console) erase() {
	if c.shown {
		io.WriteString(c.err, "\r\x1b[K")
		c.shown = false
	}
}

// line takes a line of output, which appears at the next flush at the latest.
func (c *console) line(line []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(line) > c.out.Available() {
		if err := c.flushLocked(); err != nil {
			return err
		}
	}
	_, err := c.out.Write(line)
	return err
}

// flush makes the lines appear.
func (c *console) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushLocked()
}

func (c *console) flushLocked() error {
	if c.out.Buffered() == 0 || !c.shown || !c.outShared {
		return c.out.Flush()
	}
	c.erase()
	err := c.out.Flush()
	c.draw()
	return err
}

// message prints a line to stderr, behind the lines of output so far.
func (c *console) message(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := c.shown
	c.erase()
	c.out.Flush() // an error stays with the writer, and is reported from there
	fmt.Fprintf(c.err, format+"\n", args...)
	if shown {
		c.draw()
	}
}
