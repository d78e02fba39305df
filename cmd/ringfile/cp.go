package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/copyfile"
)

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
	dst, src string
	info     os.FileInfo // of src
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
	if err := c.console.flush(); err != nil {
		c.fail("write error: %s", describe(err))
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

// begin reports, if that is wanted, that something is about to be copied.
func (c *copier) begin(src, dst string) {
	if c.flags.verbose {
		c.console.line(fmt.Appendf(nil, "%s -> %s\n", quoted(src), quoted(dst)))
	}
}

// refused reports what of a copy, which stays, could not be made as it is in the source, in the words of cp.
func (c *copier) refused(dst string, err error) {
	if err == nil {
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			c.refused(dst, err)
		}
		return
	}
	text := "preserving permissions for "
	var path *os.PathError
	if errors.As(err, &path) {
		switch path.Op {
		case "chown", "lchown":
			text = "failed to preserve ownership for "
		case "chtimes":
			text = "preserving times for "
		}
	}
	c.fail(text+"%s: %s", quoted(dst), describe(err))
}

// arguments copies what is named on the command line.
func (c *copier) arguments() {
	target := c.flags.target
	st, err := os.Stat(target)
	into := err == nil && st.IsDir() && !c.flags.exactly
	if !into && (len(c.flags.sources) > 1 || c.flags.into != "") {
		text := "target "
		if c.flags.into != "" {
			text = "target directory "
		}
		if err == nil {
			err = syscall.ENOTDIR
		}
		c.fail(text+"%s: %s", quoted(target), describe(err))
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
	case mode.IsRegular():
		c.group.Go(func() error {
			c.file(src, dst, nested && !fresh)
			return nil // it has been reported
		})
	case mode&os.ModeSymlink != 0:
		c.replace(src, dst, "symbolic link", func() error {
			text, err := os.Readlink(src)
			if err != nil {
				return err
			}
			return os.Symlink(text, dst)
		})
	case !nested && !c.flags.recursive:
		c.fail("%s is a %s: use -r to create a copy of it, or cp or cat to read it", quoted(src), special(mode))
	default:
		c.replace(src, dst, special(mode), func() error { return makeSpecial(src, dst) })
	}
}

// special says in words what a file is that has no contents.
func special(mode os.FileMode) string {
	switch {
	case mode&os.ModeNamedPipe != 0:
		return "FIFO"
	case mode&os.ModeSocket != 0:
		return "socket"
	case mode&os.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// tree copies a directory and what is in it.
func (c *copier) tree(src, dst string, info os.FileInfo, nested bool) {
	err := os.Mkdir(dst, 0o700)
	fresh := err == nil
	if fresh {
		c.begin(src, dst)
	}
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
	c.dirs = append(c.dirs, madeDir{dst, src, info})
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

// replace copies something other than a file or directory by create, which makes it at dst, and removes
// what is there.
func (c *copier) replace(src, dst, kind string, create func() error) {
	c.begin(src, dst)
	info, err := os.Lstat(src)
	if err != nil {
		c.fail("cannot stat %s: %s", quoted(src), describe(err))
		return
	}
	err = create()
	if errors.Is(err, os.ErrExist) {
		st, err1 := os.Lstat(dst)
		if err1 == nil && (os.SameFile(st, info) || sameFile(st, os.Stat, src)) {
			c.fail("%s and %s are the same file", quoted(src), quoted(dst))
			return
		}
		if err1 == nil && st.IsDir() {
			c.fail("cannot overwrite directory %s with non-directory %s", quoted(dst), quoted(src))
			return
		}
		if err = os.Remove(dst); err == nil {
			err = create()
		}
	}
	if err != nil {
		c.fail("cannot create %s %s: %s", kind, quoted(dst), describe(err))
		return
	}
	c.refused(dst, keep(dst, src, info, c.flags.owner))
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
	c.begin(src, dst)
	once := func() error {
		_, err := copyfile.Copy(c.ctx, dst, src, copyfile.Config{
			Direct:   c.flags.direct,
			Uncached: c.flags.uncached,
			Owner:    c.flags.owner,
			Progress: func(n int64) { c.bar.bytes.Add(n) },
			Engine:   c.engine,
		})
		return err
	}
	err := once()
	var path *os.PathError
	if c.flags.force && errors.As(err, &path) && path.Path == dst && path.Op == "open" &&
		(errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ETXTBSY)) && os.Remove(dst) == nil {
		err = once()
	}
	var refused *copyfile.MetadataError
	if err == nil || errors.As(err, &refused) {
		c.bar.files.Add(1) // the data is there
	}
	switch {
	case err == nil:
	case refused != nil:
		c.refused(dst, refused.Err)
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
	case st != nil && !st.Mode().IsRegular():
		return quoted(dst) + " is a " + special(st.Mode()) + ": nothing is written there; use cp or cat for that"
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
		c.refused(d.dst, keep(d.dst, d.src, d.info, c.flags.owner))
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
