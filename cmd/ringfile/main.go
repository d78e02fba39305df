// Command ringfile is the command line tool of package ringfile: it prints SHA-256 sums of files
// and trees and copies them as fast as the disk and the processors allow, says whether io_uring
// works here, measures whether it pays, and rewrites Go modules from os.File.
//
// Run "ringfile help" for its usage.
package main

//go:generate go test -run ^TestPages$ . -update-pages

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// The exit statuses, beside 0.
const (
	exitFailed      = 1   // something could not be read, or io_uring is not usable
	exitUsage       = 2   // the command line makes no sense
	exitInterrupted = 130 // 128 + SIGINT, as shells report it; for other signals see main
)

const usage = `Usage: ringfile <command> [flags] [arguments]

Commands:
  sum      print SHA-256 sums of files and directory trees, as sha256sum does
  cp       copy files and directory trees, as cp -r does
  probe    say whether io_uring is usable here, and what it can do
  bench    measure os.File and ringfile on this machine
  switch   rewrite a Go module from os.File to ringfile
  version  print the version and the commit of this program, as --version does
  help     print this text; "ringfile help <command>" explains a command

The environment variable RINGFILE_BACKEND (auto, uring, blocking) chooses how
files are read; auto, the default, uses io_uring where it works.
`

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	if ending := endSignals(); len(ending) > 0 { // none would mean all
		signal.Notify(signals, ending...)
	}
	go func() {
		s := <-signals
		signal.Stop(signals) // the first one ends the work in good order, the second one the program
		cancel(signalError{s})
	}()
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	// Some file systems report what could not be written no sooner than here.
	if err := os.Stdout.Close(); err != nil && status == 0 {
		status = writeFailed(os.Stderr, err)
	}
	if by, ok := context.Cause(ctx).(signalError); ok && status == exitInterrupted {
		status = by.status()
	}
	os.Exit(status)
}

// signalError is the cause of the context of a program that a signal ends.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "ended by signal: " + e.String() }

// status returns the exit status that shells report for a program that the signal has ended.
func (e signalError) status() int {
	switch e.Signal {
	case syscall.SIGTERM:
		return 128 + 15
	case syscall.SIGHUP:
		return 128 + 1
	}
	return exitInterrupted
}

// run carries out the command line args, without the program's name, and returns the exit status.
// It ends early when ctx is done, which stands for a signal to end.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &output{Writer: stdout}
	status := command(ctx, args, stdin, out, stderr)
	if status == 0 && out.err != nil {
		return writeFailed(stderr, out.err)
	}
	return status
}

func writeFailed(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "ringfile: write error: %s\n", describe(err))
	return exitFailed
}

// command is run without its care for the output.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		io.WriteString(stderr, usage)
		return exitUsage
	}
	switch command, rest := args[0], args[1:]; command {
	case "sum":
		return runSum(ctx, rest, stdin, stdout, stderr)
	case "cp":
		return runCp(ctx, rest, stdout, stderr)
	case "probe":
		return interruptible(ctx, func() int { return runProbe(rest, stdout, stderr) })
	case "bench":
		return runBench(ctx, rest, stdin, stdout, stderr)
	case "switch":
		return interruptible(ctx, func() int { return runSwitch(rest, stdout, stderr) })
	case "version", "-version", "--version":
		fmt.Fprintf(stdout, "ringfile %s%s %s %s/%s\n", version(), commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case "help", "-h", "-help", "--help":
		return help(ctx, rest, stdin, stdout, stderr)
	default:
		fmt.Fprintf(stderr, "ringfile: unknown command %s; \"ringfile help\" lists them\n", quote(command))
		return exitUsage
	}
}

// interruptible carries out a command that does not know ctx. It is short, so it may come to its end
// and remove its temporary file, unless it hangs with the disk that it looks at.
func interruptible(ctx context.Context, command func() int) int {
	done := make(chan int, 1)
	go func() { done <- command() }()
	select {
	case status := <-done:
		return status
	case <-ctx.Done():
	}
	select {
	case status := <-done:
		return status
	case <-time.After(patience):
		return exitInterrupted
	}
}

// help prints the usage of the program, or of the command named.
func help(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 0:
		io.WriteString(stdout, usage)
		return 0
	case args[0] == "sum" || args[0] == "cp" || args[0] == "probe" || args[0] == "bench" || args[0] == "switch":
		return command(ctx, []string{args[0], "-h"}, stdin, stdout, stderr)
	case args[0] == "version" || args[0] == "help":
		io.WriteString(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "ringfile: unknown command %s; \"ringfile help\" lists them\n", quote(args[0]))
	return exitUsage
}

// version returns the version of the module that this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// commit returns the commit that this program was built from, in brackets behind a space; nothing if it was
// not built in a checkout, as by "go install" with a version.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return " (commit " + s.Value + ")"
		}
	}
	return ""
}
