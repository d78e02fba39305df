package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

const cpUsage = `Usage: ringfile cp [flags] [--] source target
       ringfile cp [flags] [--] source ... directory
       ringfile cp [flags] -t directory [--] source ...

Copy files and directory trees as cp -r --preserve=mode,timestamps does: into the
target if that is a directory, otherwise to it. Several files are copied at a time.

Permissions, access control lists and access and modification times are kept,
and with -p also owners and set-user-ID bits; extended attributes are not kept.
Symbolic links, and in trees FIFOs, sockets and devices, are copied as such; hard
links become separate files; sparse files stay sparse. Where the file system
supports it, the copy shares its blocks with the source.

An existing file is overwritten in place. Within a tree, a symbolic link in the
place of a file is replaced, not followed. Files that cannot be copied are
reported, and the rest is copied. If the owner, permissions or times of a copy
cannot be set, that is reported and the copy is kept. No file is left half copied
unless a message says so; if the program is killed, the files that it was copying
are shorter than their sources.

Flags may come before, between and after the arguments, up to a --:

  -p           keep owner and group as well, and with them set-user-ID bits; like
               --preserve=ownership
  -f, --force  if an existing file may not be opened for writing, remove it and
               copy then
  -t, --target-directory DIR
               copy into the directory DIR
  -T, --no-target-directory
               copy to the target, not into it, even if it is a directory
  -v, --verbose
               print names as their copies begin
  -j N         copy N files at a time (default %v, at most %d)
  --direct     bypass the page cache (O_DIRECT), where the file system supports it
  --uncached   leave in the page cache only what was there before (before Linux
               6.14, or where the file system cannot tell: nothing of the files
               except up to 16 MiB of each copy)
  -q, --quiet  print no summary and no progress
  -h, --help   print this text
  -r, -R, --recursive
               also copy FIFOs, sockets and devices that are named as arguments;
               trees are copied anyway
  -P, --no-dereference, --preserve=mode,timestamps, --sparse=auto, --reflink=auto
               accepted for compatibility with cp; these are the defaults

Other flags of cp are refused.

The exit status is 0 on success, 1 if something could not be copied or kept, 2 for
a usage error, and 130, 143 or 129 after SIGINT (^C), SIGTERM or SIGHUP, which end
the program cleanly.
`

// cpHelp returns the usage of cp with the number of copies that is the default.
func cpHelp(copies any) string { return fmt.Sprintf(cpUsage, copies, maxCopies) }

// cpFlags is the command line of cp.
type cpFlags struct {
	files     int
	direct    bool
	uncached  bool
	quiet     bool
	verbose   bool
	force     bool
	owner     bool
	recursive bool   // which matters for special files only
	into      string // -t
	exactly   bool   // -T
	sources   []string
	target    string
}

const maxCopies = 256

// parseCp parses the command line of cp. The error has been reported, if it is not flag.ErrHelp.
func parseCp(args []string, stdout, stderr io.Writer) (flags cpFlags, err error) {
	flags.files = defaultReads()
	names, err := flags.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(stdout, cpHelp(defaultReads()))
		return flags, err
	case err != nil:
	case flags.direct && !directSupported:
		err = fmt.Errorf("--direct is not supported on %s, only on Linux", runtime.GOOS)
	case flags.uncached && !directSupported:
		err = fmt.Errorf("--uncached is not supported on %s, only on Linux", runtime.GOOS)
	case flags.uncached && flags.direct:
		err = errors.New("--direct and --uncached are mutually exclusive")
	case flags.into != "" && flags.exactly:
		err = errors.New("-t and -T are mutually exclusive")
	case len(names) == 0:
		err = errors.New("missing file operand")
	case flags.into != "":
		flags.sources, flags.target = names, flags.into
	case len(names) == 1:
		err = fmt.Errorf("missing destination file operand after %s", quoted(names[0]))
	case flags.exactly && len(names) > 2:
		err = fmt.Errorf("extra operand %s: -T takes one source and one target", quoted(names[2]))
	default:
		flags.sources, flags.target = names[:len(names)-1], names[len(names)-1]
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfile cp: %v; \"ringfile cp -h\" explains the usage\n", err)
	}
	return flags, err
}

// parse sets the flags among args, wherever they stand, as getopt does, and returns the others.
func (f *cpFlags) parse(args []string) (names []string, err error) {
	for len(args) > 0 && err == nil {
		arg := args[0]
		args = args[1:]
		// next is the value of a flag that has none of its own.
		next := func(flag string) (value string) {
			if len(args) == 0 {
				err = fmt.Errorf("%s needs a value", flag)
				return ""
			}
			value, args = args[0], args[1:]
			return value
		}
		switch {
		case arg == "--":
			return append(names, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			names = append(names, arg)
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			if name == "target-directory" && !has {
				value, has = next("--"+name), true
			}
			if err == nil {
				err = f.set("--"+name, value, has)
			}
		default:
			for letters := arg[1:]; letters != "" && err == nil; {
				letter := "-" + letters[:1]
				letters = letters[1:]
				var value string
				if letter == "-j" || letter == "-t" { // takes what follows, here or there
					if value, letters = letters, ""; value == "" {
						value = next(letter)
					}
				}
				if err == nil {
					err = f.set(letter, value, value != "")
				}
			}
		}
	}
	return names, err
}

// set sets one flag.
func (f *cpFlags) set(name, value string, has bool) (err error) {
	switch name {
	case "-j":
		f.files, err = strconv.Atoi(strings.TrimPrefix(value, "="))
		switch {
		case err != nil:
			return fmt.Errorf("-j %s: invalid value, want a number of files", quote(value))
		case f.files < 1:
			return fmt.Errorf("-j %d: must be at least 1", f.files)
		}
		f.files = min(f.files, maxCopies)
		return nil
	case "-t", "--target-directory":
		if value == "" {
			return fmt.Errorf("%s: empty directory name", name)
		}
		f.into = value
		return nil
	case "--preserve":
		return f.preserve(value, has)
	case "--sparse", "--reflink":
		if value == "auto" {
			return nil
		}
		return fmt.Errorf("%s is always auto: holes stay holes, and blocks are shared where the file system supports it; use cp for other values", name)
	}
	if has && strings.HasPrefix(name, "--") {
		return fmt.Errorf("%s takes no value", name)
	}
	switch name {
	case "--direct":
		f.direct = true
	case "--uncached":
		f.uncached = true
	case "-q", "--quiet":
		f.quiet = true
	case "-v", "--verbose":
		f.verbose = true
	case "-f", "--force":
		f.force = true
	case "-p":
		f.owner = true
	case "-T", "--no-target-directory":
		f.exactly = true
	case "-r", "-R", "--recursive":
		f.recursive = true
	case "-P", "--no-dereference": // it is so anyway
	case "-h", "--help":
		return flag.ErrHelp
	default:
		return unknownFlag(name)
	}
	return nil
}

// preserve sets what --preserve=list asks for.
func (f *cpFlags) preserve(list string, has bool) error {
	if !has {
		list = "mode,ownership,timestamps"
	}
	for what := range strings.SplitSeq(list, ",") {
		switch what {
		case "mode", "timestamps": // they are anyway
		case "ownership":
			f.owner = true
		default:
			return fmt.Errorf("--preserve=%s: only mode, timestamps and ownership are supported; hard links and extended attributes are not kept: use cp for those", quote(what))
		}
	}
	return nil
}

// unknownFlag returns the error for a flag that is not one of ours, and says what to do if it is one of
// cp's.
func unknownFlag(name string) error {
	switch name {
	case "-a", "--archive", "-d":
		return fmt.Errorf("%s keeps hard links, which ringfile cp does not; use -p, which keeps owners, permissions and times, or cp %[1]s", name)
	case "-L", "--dereference", "-H":
		return fmt.Errorf("%s follows symbolic links, but ringfile cp copies them as links; use cp %[1]s", name)
	case "-b", "--backup", "-i", "--interactive", "-l", "--link", "-n", "--no-clobber", "-s", "--symbolic-link",
		"-S", "--suffix", "-u", "--update", "-x", "--one-file-system", "-Z", "--context", "--attributes-only",
		"--copy-contents", "--no-preserve", "--parents", "--remove-destination", "--strip-trailing-slashes":
		return fmt.Errorf("%s: ringfile cp does not have this flag of cp; use cp for it", name)
	}
	return fmt.Errorf("unknown flag %s", quote(name))
}
