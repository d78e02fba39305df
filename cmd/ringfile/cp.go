package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
)

const cpUsage = `Usage: ringfile cp [flags] [--] source target
       ringfile cp [flags] [--] source ... directory

Copy files and directory trees as cp -r does: into the target if that is a
directory, else to it. Several files are copied at a time.

Permissions and times of access and modification are kept, as by cp -p; owners,
set-user-ID bits and extended attributes are not. Symbolic links are copied as
symbolic links; hard links become files of their own; sparse files stay sparse.
Where the file system can, the copy shares its blocks with the source. FIFOs,
sockets and devices are reported and not copied.

An existing file is overwritten in place. Within a tree, a symbolic link in the
way is replaced, not followed. What cannot be copied is reported, and the others
go on; nothing is left half copied unless a message says so.

Flags come before the arguments:

  -j N         copy N files at a time (default %d, at most %d)
  --direct     copy past the page cache (O_DIRECT), where a file system can
  -r, -R       for the sake of habit: directories are copied anyway
  -q, --quiet  print no summary and no progress
  -h, --help   print this text

The exit status is 0, or 1 if something could not be copied, 2 for a mistake on
the command line, 130 after an interrupt, which ends the program in good order.
`

// cpFlags is the command line of cp.
type cpFlags struct {
	files   int
	direct  bool
	quiet   bool
	sources []string
	target  string
}

const maxCopies = 256

// parseCp parses the command line of cp. The error has been reported, if it is not flag.ErrHelp.
func parseCp(args []string, stdout, stderr io.Writer) (flags cpFlags, err error) {
	set := flag.NewFlagSet("ringfile cp", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&flags.files, "j", defaultReads(), "")
	set.BoolVar(&flags.direct, "direct", false, "")
	set.BoolVar(&flags.quiet, "quiet", false, "")
	set.BoolVar(&flags.quiet, "q", false, "")
	set.Bool("r", true, "")
	set.Bool("R", true, "")
	err = set.Parse(splitJ(args))
	names := set.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, cpUsage, defaultReads(), maxCopies)
		return flags, err
	case err != nil:
	case flags.files < 1:
		err = fmt.Errorf("-j %d: must be at least 1", flags.files)
	case flags.direct && !directSupported:
		err = fmt.Errorf("--direct: %s has no O_DIRECT; it is supported on Linux only", runtime.GOOS)
	case len(names) == 0:
		err = errors.New("missing file operand")
	case len(names) == 1:
		err = fmt.Errorf("missing destination file operand after %s", quoted(names[0]))
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfile cp: %v; \"ringfile cp -h\" explains the usage\n", err)
		return flags, err
	}
	flags.files = min(flags.files, maxCopies)
	flags.sources, flags.target = names[:len(names)-1], names[len(names)-1]
	return flags, nil
}

// quoted returns name within quotes, as cp puts names into messages.
func quoted(name string) string {
	if q := quote(name); q != name {
		return q
	}
	return "'" + name + "'"
}

// runCp carries out the command cp and returns the exit status.
func runCp(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags, err := parseCp(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	engine, err := ringfile.New(ringfile.Config{})
	if err != nil {
		fmt.Fprintf(stderr, "ringfile cp: %v\n", err)
		return exitFailed
	}
	c := &copier{flags: flags, engine: engine, ctx: ctx, console: newConsole(stdout, stderr)}
	return c.run(stderr)
}

// copier does the work of cp: one goroutine walks and makes directories, others copy files.
type copier struct {
	flags   cpFlags
	engine  *ringfile.Engine
	ctx     context.Context
	console *console
	bar     progress
	group   errgroup.Group
	failed  atomic.Int64
	dirs    []madeDir // in the order of the walk: a directory comes before those within
}

// madeDir is a directory that gets its mode and times when all is in it.
type madeDir struct {
	dst  string
	info os.FileInfo
}

// run copies everything, closes the engine and returns the exit status.
func (c *copier) run(stderr io.Writer) int {
	c.bar.start = time.Now()
	if !c.flags.quiet {
		c.console.showFor(c.ctx, &c.bar, stderr, c.flags.sources)
	}
	c.group.SetLimit(c.flags.files)
	c.arguments()
	c.group.Wait() // also after an interrupt, so that nothing half copied stays behind
	interrupted := c.ctx.Err() != nil
	if !interrupted {
		c.finishDirs()
	}
	c.console.hide()
	if !c.flags.quiet {
		c.console.message("ringfile cp: %s", c.summary(interrupted))
	}
	c.engine.Close()
	switch {
	case interrupted:
		return exitInterrupted
	case c.failed.Load() > 0:
		return exitFailed
	}
	return 0
}

// fail reports what could not be done.
func (c *copier) fail(format string, args ...any) {
	c.failed.Add(1)
	c.console.message("ringfile cp: "+format, args...)
}

// arguments copies what is named on the command line.
func (c *copier) arguments() {
	target := c.flags.target
	st, err := os.Stat(target)
	into := err == nil && st.IsDir()
	if !into && len(c.flags.sources) > 1 {
		if err == nil {
			c.fail("target %s: Not a directory", quoted(target))
		} else {
			c.fail("target %s: %s", quoted(target), describe(err))
		}
		return
	}
	seen := make(map[string]bool) // what has been copied into the target
	for _, src := range c.flags.sources {
		if c.ctx.Err() != nil {
			return
		}
		info, err := os.Lstat(src)
		if err != nil {
			c.fail("cannot stat %s: %s", quoted(src), describe(err))
			continue
		}
		dst := target
		if into {
			if name := filepath.Base(src); name != "." && name != ".." && name != string(os.PathSeparator) {
				dst = join(target, name)
			}
			if seen[dst] && !info.IsDir() {
				c.fail("will not overwrite just-created %s with %s", quoted(dst), quoted(src))
				continue
			}
			if seen[dst] {
				c.group.Wait() // the two may have files of the same name
			}
			seen[dst] = true
		}
		if info.IsDir() && within(dst, info) {
			c.fail("cannot copy a directory, %s, into itself, %s", quoted(src), quoted(dst))
			continue
		}
		c.entry(src, dst, info, false, false)
	}
}

// within reports whether the file named dst lies, or will lie, in the directory dir or is it.
func within(dst string, dir os.FileInfo) bool {
	path, err := filepath.Abs(dst)
	if err != nil {
		return false
	}
	for {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
			break
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent // it does not exist yet
	}
	for {
		if st, err := os.Stat(path); err == nil && os.SameFile(st, dir) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// entry copies src, whose type info tells, to dst. nested tells that it was found in a tree, fresh
// that nothing can be at dst.
func (c *copier) entry(src, dst string, info os.FileInfo, nested, fresh bool) {
	switch mode := info.Mode(); {
	case mode.IsDir():
		c.tree(src, dst, info, nested)
	case mode&os.ModeSymlink != 0:
		c.link(src, dst)
	case mode.IsRegular():
		c.group.Go(func() error {
			c.file(src, dst, nested && !fresh)
			return nil // it has been reported
		})
	default:
		c.fail("%s is %s: not copied", quoted(src), special(mode))
	}
}

// special says in words what a file is that is not copied.
func special(mode os.FileMode) string {
	switch {
	case mode&os.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	}
	return "not a file, directory or symbolic link"
}

// tree copies a directory and what is in it.
func (c *copier) tree(src, dst string, info os.FileInfo, nested bool) {
	err := os.Mkdir(dst, 0o700)
	fresh := err == nil
	if errors.Is(err, os.ErrExist) {
		stat := os.Stat
		if nested {
			stat = os.Lstat
		}
		st, err1 := stat(dst)
		if err1 == nil && !st.IsDir() {
			c.fail("cannot overwrite non-directory %s with directory %s", quoted(dst), quoted(src))
			return
		}
		if err1 == nil {
			err = nil
		}
	}
	if err != nil {
		c.fail("cannot create directory %s: %s", quoted(dst), describe(err))
		return
	}
	c.dirs = append(c.dirs, madeDir{dst, info})
	entries, err := os.ReadDir(src)
	if err != nil {
		c.fail("cannot access %s: %s", quoted(src), describe(err))
	}
	for _, entry := range entries {
		if c.ctx.Err() != nil {
			return
		}
		from := join(src, entry.Name())
		info := os.FileInfo(typeOnly{entry})
		if entry.IsDir() {
			if info, err = entry.Info(); err != nil {
				c.fail("cannot stat %s: %s", quoted(from), describe(err))
				continue
			}
		}
		c.entry(from, join(dst, entry.Name()), info, true, fresh)
	}
}

// typeOnly is an entry of a directory as far as it is known without another system call.
type typeOnly struct{ os.DirEntry }

func (t typeOnly) Size() int64        { return 0 }
func (t typeOnly) Mode() os.FileMode  { return t.Type() }
func (t typeOnly) ModTime() time.Time { return time.Time{} }
func (t typeOnly) Sys() any           { return nil }

// link copies a symbolic link, as it is.
func (c *copier) link(src, dst string) {
	text, err := os.Readlink(src)
	if err != nil {
		c.fail("cannot read symbolic link %s: %s", quoted(src), describe(err))
		return
	}
	err = os.Symlink(text, dst)
	if errors.Is(err, os.ErrExist) {
		st, err1 := os.Lstat(dst)
		if err1 == nil && (sameFile(st, os.Lstat, src) || sameFile(st, os.Stat, src)) {
			c.fail("%s and %s are the same file", quoted(src), quoted(dst))
			return
		}
		if err1 == nil && st.IsDir() {
			c.fail("cannot overwrite directory %s with non-directory %s", quoted(dst), quoted(src))
			return
		}
		if err = os.Remove(dst); err == nil {
			err = os.Symlink(text, dst)
		}
	}
	if err != nil {
		c.fail("cannot create symbolic link %s: %s", quoted(dst), describe(err))
		return
	}
	if err := keepLinkTimes(src, dst); err != nil {
		c.fail("preserving times for %s: %s", quoted(dst), describe(err))
	}
}

// sameFile reports whether st is the file named, as stat sees it.
func sameFile(st os.FileInfo, stat func(string) (os.FileInfo, error), name string) bool {
	other, err := stat(name)
	return err == nil && os.SameFile(st, other)
}

// file copies a regular file. With unlink, a symbolic link at dst is replaced.
func (c *copier) file(src, dst string, unlink bool) {
	if c.ctx.Err() != nil {
		return
	}
	if unlink {
		if st, err := os.Lstat(dst); err == nil && st.Mode()&os.ModeSymlink != 0 {
			if err := os.Remove(dst); err != nil && !errors.Is(err, os.ErrNotExist) {
				c.fail("cannot remove %s: %s", quoted(dst), describe(err))
				return
			}
		}
	}
	_, err := copyfile.Copy(c.ctx, dst, src, copyfile.Config{
		Direct:   c.flags.direct,
		Progress: func(n int64) { c.bar.bytes.Add(n) },
		Engine:   c.engine,
	})
	var refused *copyfile.MetadataError
	if err == nil || errors.As(err, &refused) {
		c.bar.files.Add(1) // the data is there
	}
	switch {
	case err == nil:
	case refused != nil:
		c.fail("preserving permissions and times for %s: %s", quoted(dst), describe(err))
	case c.ctx.Err() == nil:
		c.fail("%s", explain(err, src, dst))
	case errors.Is(err, copyfile.ErrIncomplete):
		c.fail("interrupted: %s existed before and is incomplete now", quoted(dst))
	}
}

// explain says in the words of cp why src was not copied to dst.
func explain(err error, src, dst string) string {
	text := "error copying " + quoted(src) + " to " + quoted(dst)
	st, _ := os.Stat(dst)
	var path *os.PathError
	switch {
	case st != nil && sameFile(st, os.Stat, src):
		return quoted(src) + " and " + quoted(dst) + " are the same file"
	case st != nil && st.IsDir():
		return "cannot overwrite directory " + quoted(dst) + " with non-directory " + quoted(src)
	case !errors.As(err, &path):
	case path.Path == src && path.Op == "open":
		text = "cannot open " + quoted(src) + " for reading"
	case path.Path == dst && path.Op == "open":
		text = "cannot create regular file " + quoted(dst)
	case path.Path == src:
		text = "error reading " + quoted(src)
	default:
		text = "error writing " + quoted(dst)
	}
	text += ": " + describe(err)
	if errors.Is(err, copyfile.ErrIncomplete) {
		text += "; " + copyfile.ErrIncomplete.Error()
	}
	return text
}

// finishDirs gives the directories their modes and times, those within others first.
func (c *copier) finishDirs() {
	done := make(map[string]bool) // the last source of a directory wins
	for i := len(c.dirs) - 1; i >= 0; i-- {
		d := &c.dirs[i]
		if done[d.dst] {
			continue
		}
		done[d.dst] = true
		err := os.Chmod(d.dst, d.info.Mode().Perm()|d.info.Mode()&os.ModeSticky)
		if err == nil {
			err = os.Chtimes(d.dst, accessTime(d.info), d.info.ModTime())
		}
		if err != nil {
			c.fail("preserving permissions and times for %s: %s", quoted(d.dst), describe(err))
		}
	}
}

// summary says what was done, and on which route.
func (c *copier) summary(interrupted bool) string {
	var b strings.Builder
	if interrupted {
		b.WriteString("interrupted: ")
	}
	b.WriteString(plural(c.bar.files.Load(), "file"))
	if n := c.failed.Load(); n > 0 {
		fmt.Fprintf(&b, ", %d failed", n)
	}
	b.WriteString(ratesAndRoutes(c.bar.bytes.Load(), time.Since(c.bar.start), c.engine))
	b.WriteByte(')')
	return b.String()
}
