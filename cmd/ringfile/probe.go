package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/ringfile/ringfile"
)

const probeUsage = `Usage: ringfile probe [flags] [--] [path]

Report whether io_uring is usable here and, if not, why and what to do; the kernel,
its limits, features and operations; and, for a path, what its file system
supports and which route ringfile takes there for each operation.

A directory is tested on a temporary file in it, which is removed. A file is
only ever read.

Flags come before the path:

  --json      print one JSON object
  -h, --help  print this text

The exit status is 0 if io_uring is usable, 1 if it is not, if programs fail
with the value of RINGFILE_BACKEND or if the output could not be written, 2 for
a usage error or a path that does not exist, and 130, 143 or 129 after SIGINT
(^C), SIGTERM or SIGHUP.
`

// report is what probe finds out. Its JSON form is for programs: the keys stay as they are.
type report struct {
	Usable  bool          `json:"usable"`
	Reason  *reason       `json:"reason"` // null if usable
	OS      string        `json:"os"`
	Arch    string        `json:"arch"`
	Kernel  string        `json:"kernel"` // release
	Version string        `json:"ringfile_version"`
	Backend backendReport `json:"backend"`
	System  *systemReport `json:"system"` // null but on Linux
	Ring    *ringReport   `json:"ring"`   // null if none can be made
	Path    *pathReport   `json:"path"`   // null if none was given
}

// reason is why io_uring is not usable.
type reason struct {
	Operation string `json:"operation"` // what was refused
	Error     string `json:"error"`
	Errno     string `json:"errno"` // its name, like EPERM; may be empty
	Hint      string `json:"hint"`  // what to do; may be empty
}

// backendReport is what a program that uses ringfile gets, with the environment that probe has.
type backendReport struct {
	Name     string  `json:"name"`             // uring or blocking; empty with an error
	Variable *string `json:"ringfile_backend"` // the environment variable, null if it is not set
	Error    string  `json:"error"`            // why no engine can be made, usually empty
	Rings    int     `json:"rings"`
	Depth    int     `json:"depth"` // requests in flight for each ring
}

// systemReport is what decides whether io_uring may be used.
type systemReport struct {
	Disabled   *int   `json:"io_uring_disabled"` // the sysctl, null before Linux 6.6
	Group      *int   `json:"io_uring_group"`    // likewise
	Seccomp    *int   `json:"seccomp_mode"`      // 0 off, 1 strict, 2 filter; null if not known
	Filters    *int   `json:"seccomp_filters"`
	NoNewPrivs bool   `json:"no_new_privs"`
	Memlock    limits `json:"rlimit_memlock_bytes"`
	NoFile     limits `json:"rlimit_nofile"` // the Go runtime has raised the soft one to the hard one
}

// limits is a resource limit; -1 stands for no limit.
type limits struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// ringReport is what io_uring can do.
type ringReport struct {
	Granted         []string `json:"setup_flags"`
	Refused         []string `json:"setup_flags_refused"`
	Untested        []string `json:"setup_flags_untested"` // for lack of memory
	Features        []string `json:"features"`
	FeaturesMissing []string `json:"features_missing"`
	Ops             []string `json:"operations"`
	OpsMissing      []string `json:"operations_missing"`
	Workers         *workers `json:"iowq_max_workers"` // null before Linux 5.15
}

// workers is how many threads the kernel uses at most for operations that block.
type workers struct {
	Bounded   uint32 `json:"bounded"`
	Unbounded uint32 `json:"unbounded"`
}

// pathReport is what the file system of a path can do.
type pathReport struct {
	Path       string     `json:"path"`
	Kind       string     `json:"kind"`      // directory, file, block device, other
	TestedOn   string     `json:"tested_on"` // temporary file, file, or nothing
	Note       string     `json:"note"`      // why less was tested, usually empty
	FileSystem fileSystem `json:"file_system"`

	NowaitRead        ability     `json:"nowait_read"`
	NowaitWrite       ability     `json:"nowait_buffered_write"`
	DirectRead        ability     `json:"direct_read"`
	DirectWrite       ability     `json:"direct_write"`
	NowaitDirectRead  ability     `json:"nowait_direct_read"`
	NowaitDirectWrite ability     `json:"nowait_direct_write"`
	Align             *alignment  `json:"direct_alignment"` // null if not known
	Routes            []routeUsed `json:"routes"`
}

// fileSystem is where a path lies.
type fileSystem struct {
	Type       string `json:"type"`
	Magic      string `json:"magic"` // of statfs(2), in hexadecimal
	Device     string `json:"device"`
	MountPoint string `json:"mount_point"`
	Source     string `json:"mount_source"`
	Options    string `json:"mount_options"`
}

// ability is whether something works.
type ability struct {
	Able   *bool  `json:"able"`   // null if that is not known
	Result string `json:"result"` // ok, the name of an errno, or why it was not tested
}

// alignment is what O_DIRECT asks for, in bytes.
type alignment struct {
	Memory   int  `json:"memory"`
	Offset   int  `json:"offset"`
	Reported bool `json:"reported"` // by the kernel, not assumed
}

// routeUsed is the route that an operation took when it was tried.
type routeUsed struct {
	Operation string `json:"operation"`
	Route     string `json:"route"` // cached, ring, blocking, or several of them with a +
	Error     string `json:"error"` // why it did not work, usually empty
}

// probeSet returns the flags of probe.
func probeSet(asJSON *bool) *flag.FlagSet {
	set := flag.NewFlagSet("ringfile probe", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(asJSON, "json", false, "")
	return set
}

// runProbe carries out the command probe and returns the exit status.
func runProbe(args []string, stdout, stderr io.Writer) int {
	var asJSON bool
	set := probeSet(&asJSON)
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(stdout, probeUsage)
		return 0
	case err == nil && set.NArg() > 1:
		err = fmt.Errorf("%d paths given, want at most one", set.NArg())
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfile probe: %v; \"ringfile probe -h\" explains the flags\n", err)
		return exitUsage
	}
	if set.NArg() == 1 {
		if _, err := os.Stat(set.Arg(0)); err != nil {
			fmt.Fprintf(stderr, "ringfile probe: %s: %s\n", quote(set.Arg(0)), describe(err))
			return exitUsage
		}
	}

	r := probe(set.Arg(0))
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		_, err = io.WriteString(stdout, r.text())
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "ringfile probe: write error: %s\n", describe(err))
		return exitFailed
	case !r.Usable, r.Backend.Error != "":
		return exitFailed
	}
	return 0
}

// probe finds everything out, with the path if it is not empty.
func probe(path string) *report {
	// The engine's limit on the kernel's workers holds for the threads that use its rings. This one
	// does not, and so sees the kernel's own limit. It comes last, as its rings may use up a limit
	// on locked memory: the kernel gives that back late.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := &report{OS: runtime.GOOS, Arch: runtime.GOARCH, Version: version()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.engine(path)
	}()
	<-done
	r.Kernel, r.System = probeSystem()
	r.Ring = probeRing()
	return r
}

// engine reports whether an engine can use io_uring, and what one does on path.
func (r *report) engine(path string) {
	engine, why := tryURing()
	r.Usable, r.Reason = why == nil, why
	value, ok := os.LookupEnv(backendVariable)
	if ok {
		r.Backend.Variable = &value
	}
	if engine == nil || value != "" && value != "auto" && value != "uring" {
		// A program gets another engine.
		if engine != nil {
			engine.Close()
		}
		var err error
		if engine, err = ringfile.New(ringfile.Config{}); err != nil {
			r.Backend.Error = err.Error()
			if path != "" {
				r.Path = &pathReport{Path: path, TestedOn: "nothing", Note: err.Error(), Routes: []routeUsed{}}
			}
			return
		}
	}
	defer engine.Close()
	stats := engine.Stats()
	r.Backend.Name, r.Backend.Rings, r.Backend.Depth = engine.Backend().String(), stats.Rings, stats.Depth
	if path != "" {
		r.Path = probePath(engine, path)
	}
}

// backendVariable is obeyed by all engines.
const backendVariable = "RINGFILE_BACKEND"

// tryURing returns an engine on io_uring, or why there cannot be one. That does not depend on
// RINGFILE_BACKEND, so the variable is out of the way meanwhile.
func tryURing() (*ringfile.Engine, *reason) {
	if value, ok := os.LookupEnv(backendVariable); ok {
		os.Unsetenv(backendVariable)
		defer os.Setenv(backendVariable, value)
	}
	engine, err := ringfile.New(ringfile.Config{Backend: ringfile.BackendURing})
	if err == nil {
		return engine, nil
	}
	var why *ringfile.UnavailableError
	if !errors.As(err, &why) {
		return nil, &reason{Error: err.Error()}
	}
	r := &reason{Operation: why.Op, Errno: errnoName(why.Err), Hint: why.Hint}
	if why.Err != nil {
		r.Error = why.Err.Error()
	}
	return nil, r
}

// text returns the report for people.
func (r *report) text() string {
	var p page
	switch {
	case !r.Usable:
		fmt.Fprintf(&p.b, "io_uring: NOT usable: %s\n", r.Reason)
	case r.Backend.Error != "":
		fmt.Fprintf(&p.b, "io_uring: usable, but programs fail with %s=%s\n", backendVariable, *r.Backend.Variable)
	case r.Backend.Name != ringfile.BackendURing.String():
		fmt.Fprintf(&p.b, "io_uring: usable, but switched off by %s=%s\n", backendVariable, *r.Backend.Variable)
	default:
		p.b.WriteString("io_uring: usable\n")
	}
	kernel := r.OS + "/" + r.Arch
	if r.Kernel != "" {
		kernel = r.Kernel + " " + kernel
	}
	p.row("kernel", kernel)
	p.row("ringfile", r.Backend.String())
	if s := r.System; s != nil {
		p.row("sysctl", s.sysctl())
		p.row("seccomp", s.seccomp())
		p.row("limits", fmt.Sprintf("RLIMIT_MEMLOCK %s bytes, RLIMIT_NOFILE %s", s.Memlock, s.NoFile))
	}
	if g := r.Ring; g != nil {
		p.row("setup flags", list(g.Granted))
		p.row("  refused", list(g.Refused))
		if len(g.Untested) > 0 {
			p.row("  untested", list(g.Untested))
		}
		p.row("features", list(g.Features))
		p.row("  missing", list(g.FeaturesMissing))
		p.row("operations", list(g.Ops))
		p.row("  missing", list(g.OpsMissing))
		if g.Workers != nil {
			p.row("io-wq", fmt.Sprintf("at most %d bounded and %d unbounded workers", g.Workers.Bounded, g.Workers.Unbounded))
		}
	}
	if r.Usable && r.Ring == nil {
		p.row("operations", "unknown: no second ring can be made beside that of ringfile")
	}
	if r.Path != nil {
		r.Path.text(&p)
	}
	return p.b.String()
}

func (r *reason) String() string {
	s := r.Error
	if r.Operation != "" {
		s = r.Operation + ": " + s
	}
	if r.Errno != "" {
		s += " (" + r.Errno + ")"
	}
	if r.Hint != "" {
		s += " \u2014 " + r.Hint
	}
	return s
}

func (b *backendReport) String() string {
	variable := "RINGFILE_BACKEND is not set"
	if b.Variable != nil {
		variable = "RINGFILE_BACKEND=" + *b.Variable
	}
	switch {
	case b.Error != "":
		return b.Error
	case b.Rings == 0:
		return fmt.Sprintf("%s backend, %s", b.Name, variable)
	}
	return fmt.Sprintf("%s backend, %s of %d requests, %s", b.Name, plural(int64(b.Rings), "ring"), b.Depth, variable)
}

func (s *systemReport) sysctl() string {
	if s.Disabled == nil {
		return "kernel.io_uring_disabled does not exist"
	}
	text := fmt.Sprintf("kernel.io_uring_disabled = %d", *s.Disabled)
	if s.Group != nil {
		text += fmt.Sprintf(", kernel.io_uring_group = %d", *s.Group)
	}
	return text
}

func (s *systemReport) seccomp() string {
	if s.Seccomp == nil {
		return "unknown"
	}
	text := fmt.Sprintf("mode %d", *s.Seccomp)
	switch *s.Seccomp {
	case 0:
		text = "off"
	case 1:
		text = "strict"
	case 2:
		text = "a filter is active"
		if s.Filters != nil {
			text = plural(int64(*s.Filters), "filter") + " active"
		}
	}
	if s.NoNewPrivs {
		text += ", no_new_privs"
	}
	return text
}

func (l limits) String() string {
	name := func(n int64) string {
		if n < 0 {
			return "unlimited"
		}
		return fmt.Sprint(n)
	}
	if l.Soft == l.Hard {
		return name(l.Soft)
	}
	return name(l.Soft) + " (hard " + name(l.Hard) + ")"
}

// text appends the report on a path to a page.
func (r *pathReport) text(p *page) {
	p.b.WriteString("\n")
	where := r.Kind + ", tested on " + r.TestedOn
	switch r.TestedOn {
	case "temporary file":
		where = r.Kind + ", tested on a temporary file in it"
	case "file":
		where = r.Kind + ", only read"
	}
	p.b.WriteString(quote(r.Path) + ": " + where + "\n")
	if r.Note != "" {
		p.row("note", r.Note)
	}
	fs := r.FileSystem
	if fs.Type != "" {
		text := fmt.Sprintf("%s (%s)", fs.Type, fs.Magic)
		if fs.MountPoint != "" {
			text += fmt.Sprintf(", %s on %s, device %s, %s", fs.Source, fs.MountPoint, fs.Device, fs.Options)
		}
		p.row("file system", text)
	}
	if r.TestedOn == "nothing" {
		return
	}
	p.row("NOWAIT", fmt.Sprintf("read %s; buffered write %s; direct read %s; direct write %s",
		r.NowaitRead, r.NowaitWrite, r.NowaitDirectRead, r.NowaitDirectWrite))
	direct := fmt.Sprintf("read %s; write %s", r.DirectRead, r.DirectWrite)
	if a := r.Align; a != nil {
		how := "assumed"
		if a.Reported {
			how = "reported"
		}
		direct += fmt.Sprintf("; alignment %d bytes of memory, %d of offset and length (%s)", a.Memory, a.Offset, how)
	}
	p.row("O_DIRECT", direct)
	for i, route := range r.Routes {
		label := ""
		if i == 0 {
			label = "routes"
		}
		text := route.Route
		if route.Error != "" {
			text = "fails: " + route.Error
		}
		p.row(label, fmt.Sprintf("%-24s %s", strings.ReplaceAll(route.Operation, "_", " "), text))
	}
}

func (a ability) String() string {
	switch {
	case a.Able == nil:
		return "unknown (" + a.Result + ")"
	case !*a.Able:
		return "no (" + a.Result + ")"
	case a.Result != "ok":
		return "yes (" + a.Result + ")"
	}
	return "yes"
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// page is text with labelled rows.
type page struct{ b strings.Builder }

const (
	pageWidth  = 80
	labelWidth = 14
)

// row appends text with a label, broken into lines between words.
func (p *page) row(label, text string) {
	fmt.Fprintf(&p.b, "  %-*s", labelWidth-2, label)
	for len(text) > pageWidth-labelWidth {
		cut := strings.LastIndexByte(text[:pageWidth-labelWidth+1], ' ')
		if cut <= 0 {
			break
		}
		p.b.WriteString(text[:cut])
		fmt.Fprintf(&p.b, "\n%*s", labelWidth, "")
		text = text[cut+1:]
	}
	p.b.WriteString(text + "\n")
}
