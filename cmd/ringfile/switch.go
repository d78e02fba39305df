package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ringfile/ringfile/internal/switcher"
)

const switchUsage = `Usage: ringfile switch [flags] [--] [directory ...]

Rewrite the Go modules that the directories are in, by default the one of the
current directory, from os to ringfile: os.Open, Create, OpenFile, CreateTemp,
ReadFile and WriteFile, and the type *os.File. Only what is safe is rewritten,
and type-checked; for each use that is left a line says why. What only tests
have to do with is left without a line. The go command must be there.

What has changed is written to ringfile-switch.patch in the module's directory;
"git apply -R ringfile-switch.patch" takes it back. go.mod stays as it is: the
last lines say what to run.

Flags come before the directories:

  -n          change nothing, print the patch
  --api       also rewrite what other modules may use: exported functions,
              fields, variables and types of packages that are not internal
  --fd        also rewrite files whose Fd or SyscallConn is called: the
              descriptor is the same, but what is done with it is not known
  --fsys      also rewrite os.Stat, Rename, Remove and so on, to package fsys
  -h, --help  print this text

Files are looked at as the go command sees them with GOOS, GOARCH and GOFLAGS:
those that build constraints leave out are named, and what they use is left.

The exit status is 0 if all modules have been gone through, whatever was left,
1 if one could not be, 2 for a mistake on the command line, 130, 143 or 129
after SIGINT (^C), SIGTERM or SIGHUP.
`

// patchName is where in a module it is written what has changed.
const patchName = "ringfile-switch.patch"

type switchFlags struct {
	switcher.Options
	dry bool
}

func switchSet(f *switchFlags) *flag.FlagSet {
	set := flag.NewFlagSet("ringfile switch", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&f.dry, "n", false, "")
	set.BoolVar(&f.API, "api", false, "")
	set.BoolVar(&f.Fd, "fd", false, "")
	set.BoolVar(&f.Fsys, "fsys", false, "")
	return set
}

func runSwitch(args []string, stdout, stderr io.Writer) int {
	var f switchFlags
	set := switchSet(&f)
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		io.WriteString(stdout, switchUsage)
		return 0
	} else if err != nil {
		fmt.Fprintf(stderr, "ringfile switch: %v\nRun \"ringfile switch -h\" for the usage.\n", err)
		return exitUsage
	}
	dirs := set.Args()
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	status := 0
	for _, dir := range dirs {
		plan, err := switcher.Make(dir, f.Options)
		if err == nil {
			err = carryOut(plan, f.dry, stdout)
		}
		if err != nil {
			fmt.Fprintf(stderr, "ringfile switch: %s: %v\n", quote(dir), err)
			status = exitFailed
		}
	}
	return status
}

// carryOut rewrites a module, or with dry only prints the patch, and says what is left.
func carryOut(plan *switcher.Plan, dry bool, stdout io.Writer) error {
	patch := plan.Patch()
	name := filepath.Join(plan.Root, patchName)
	if dry {
		stdout.Write(patch)
	} else if len(patch) > 0 {
		if err := write(plan, name, patch); err != nil {
			return err
		}
	}
	for _, l := range plan.Left {
		fmt.Fprintf(stdout, "%s: %s stays: %s", l.At, l.What, l.Why)
		if l.Because.Filename != l.At.Filename || l.Because.Line != l.At.Line {
			fmt.Fprintf(stdout, " (%s)", l.Because)
		}
		fmt.Fprintln(stdout)
	}
	for _, file := range plan.Skipped {
		fmt.Fprintf(stdout, "%s: not looked at: build constraints leave it out\n", file)
	}
	done := "switched"
	if dry {
		done = "would be switched"
	}
	fmt.Fprintf(stdout, "%s: %s and %s in %s %s, %d left", plan.Root, count(plan.Calls, "call"), count(plan.Types, "type"),
		count(len(plan.Files), "file"), done, len(plan.Left))
	if plan.Tests > 0 {
		fmt.Fprintf(stdout, ", %d in tests as they were", plan.Tests)
	}
	fmt.Fprintln(stdout)
	switch {
	case len(patch) == 0:
	case dry:
		fmt.Fprintln(stdout, "without -n the files are changed")
	default:
		fmt.Fprintf(stdout, "now: go mod tidy && go vet ./... && go test ./...\nback: git apply -R %s\n", patchName)
	}
	return nil
}

// count returns a number of things.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// write writes the patch and then the files. If one cannot be written, all are as before.
func write(plan *switcher.Plan, name string, patch []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there, from an earlier switch: take that back, or move the patch away", patchName)
	} else if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(patch))
	err = errors.Join(err, f.Close())
	for i, file := range plan.Files {
		if err == nil {
			err = os.WriteFile(filepath.Join(plan.Root, file.Name), file.New, 0o666)
		}
		if err != nil {
			for _, file := range plan.Files[:i+1] {
				err = errors.Join(err, os.WriteFile(filepath.Join(plan.Root, file.Name), file.Old, 0o666))
			}
			return errors.Join(err, os.Remove(name))
		}
	}
	return nil
}
