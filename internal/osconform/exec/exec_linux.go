// Package exec is the standard library's os/exec whose commands also accept files under test: the
// original passes the descriptor of an os.File to the child, and copies from and to everything else.
//
// The rest of os/exec is added as it is for package os.
package exec

import (
	"context"
	"io"
	stdos "os"
	stdexec "os/exec"

	"github.com/ringfile/ringfile/internal/osconform/os"
)

// Cmd is exec.Cmd with files under test.
type Cmd struct {
	*stdexec.Cmd
	ExtraFiles []*os.File
}

// Command is exec.Command.
func Command(name string, args ...string) *Cmd { return &Cmd{Cmd: stdexec.Command(name, args...)} }

// CommandContext is exec.CommandContext.
func CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Cmd: stdexec.CommandContext(ctx, name, args...)}
}

// Start is exec.Cmd.Start.
func (c *Cmd) Start() error { return c.with(c.Cmd.Start) }

// Run is exec.Cmd.Run.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd.Output.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.with(func() (err error) {
		out, err = c.Cmd.Output()
		return err
	})
	return out, err
}

// CombinedOutput is exec.Cmd.CombinedOutput.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.with(func() (err error) {
		out, err = c.Cmd.CombinedOutput()
		return err
	})
	return out, err
}

// with calls start with os.Files in place of the files under test.
func (c *Cmd) with(start func() error) error {
	var dups []*stdos.File
	defer func() {
		for _, f := range dups {
			f.Close()
		}
	}()
	duplicate := func(stream any) (*stdos.File, error) {
		f, ok := stream.(*os.File)
		if !ok {
			return nil, nil
		}
		dup, err := os.Duplicate(f)
		if dup != nil {
			dups = append(dups, dup)
		}
		return dup, err
	}
	if f, err := duplicate(c.Stdin); err != nil {
		return err
	} else if f != nil {
		c.Stdin = f
	}
	for _, w := range []*io.Writer{&c.Stdout, &c.Stderr} {
		if f, err := duplicate(*w); err != nil {
			return err
		} else if f != nil {
			*w = f
		}
	}
	for _, f := range c.ExtraFiles {
		dup, err := duplicate(f)
		if err != nil {
			return err
		}
		c.Cmd.ExtraFiles = append(c.Cmd.ExtraFiles, dup)
	}
	return start()
}
