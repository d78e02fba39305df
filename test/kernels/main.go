// Kernels runs the project's tests in real kernels of Debian's, on emulated machines with a disk
// that can be polled:
//
//	go run ./test/kernels
//
// It wants a Debian system and root, installs what it needs, keeps the kernels outside the source
// tree, and fails if a kernel that must be tested cannot be had, lacks a feature that it had
// (features/), or skips a test that is not down in skips.txt. With -measure the guests measure
// polling instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// needed are the series that must be tested; others are tested where the archives still have them.
var needed = []string{"6.1", "6.12", "newest"}

func main() {
	names := flag.String("kernels", "5.10,6.1,6.12,6.18,newest", "`series` to boot; with -measure, the newest if not given")
	write := flag.Bool("write", false, "write the table to docs/kernels.md")
	record := flag.Bool("record", false, "write what the kernels have to test/kernels/features")
	flag.StringVar(&onlySteps, "steps", "", "run the steps whose name starts with this `word` only")
	offline := flag.Bool("offline", false, "take the archives' indexes as they were the last time")
	logs := flag.Bool("logs", false, "boot nothing, but judge the logs of the last runs; implies -offline")
	flag.BoolVar(&measuring, "measure", false, "measure polling, instead of testing; conflicts with -write, -record and -steps")
	flag.Parse()
	if measuring && (*write || *record || onlySteps != "") {
		fmt.Fprintln(os.Stderr, "-measure conflicts with -write, -record and -steps")
		os.Exit(2)
	}
	if measuring && !given("kernels") {
		*names = "newest"
	}
	start := time.Now()
	rows, err := run(strings.Split(*names, ","), *offline || *logs, *logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the kernel matrix cannot run:", err)
		os.Exit(1)
	}
	if *record {
		err = errors.Join(err, writeFeatures(rows))
	}
	report, failed := "", false
	if measuring {
		report, failed = measured(rows)
	} else {
		report, failed = judge(rows)
	}
	fmt.Print(report)
	if *write {
		err = errors.Join(err, writeTable(rows))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Printf("%d kernels in %.0f s\n", len(rows), time.Since(start).Seconds())
	if failed || err != nil {
		os.Exit(1)
	}
}

// given reports whether the flag was set on the command line.
func given(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// row is a kernel of the matrix and what came of it.
type row struct {
	series string // as asked for
	guest  *guest
	*results
	err error
}

// run boots the kernels, or just reads what they left in their logs.
func run(series []string, offline, logs bool) ([]*row, error) {
	root, err := filepath.Abs(".")
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "test", "kernels", "skips.txt"))
	}
	if err != nil {
		return nil, fmt.Errorf("run it in the root of the source tree: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "ringfile-kernels")
	if err := installTools(); err != nil {
		return nil, err
	}
	a, err := openArchive(filepath.Join(cache, "apt"), offline)
	if err != nil {
		return nil, err
	}
	list, err := a.kernels()
	if err != nil {
		return nil, err
	}
	built, err := build(filepath.Join(cache, "build"))
	if err != nil {
		return nil, err
	}
	var rows []*row
	var dirs []string
	for _, s := range series {
		k := newest(list, s)
		dir := ""
		if k != nil {
			if dir, err = a.prepare(cache, k); err != nil {
				return nil, fmt.Errorf("kernel %s: %w", k.release, err)
			}
		}
		switch {
		case k == nil && slices.Contains(needed, s):
			return nil, fmt.Errorf("the archives have no kernel %s, which must be tested", s)
		case k == nil:
			fmt.Printf("the archives have no whole kernel %s any more: not tested\n", s)
		case slices.Contains(dirs, dir): // the newest, asked for by number as well
		default:
			dirs = append(dirs, dir)
			rows = append(rows, &row{series: k.series(), guest: &guest{kernel: k, dir: filepath.Join(cache, runs(), k.series())}})
		}
	}
	if logs {
		for _, r := range rows {
			r.read()
		}
		return rows, nil
	}
	bootAll(rows, dirs, built)
	return rows, nil
}

// read reads the log of r's guest.
func (r *row) read() {
	text, err := os.ReadFile(r.guest.results())
	r.err = errors.Join(r.err, err)
	r.results, err = parse(string(text))
	r.err = errors.Join(r.err, err)
}

// bootAll boots the kernels, some at a time, and fills the rows in.
func bootAll(rows []*row, dirs []string, built programs) {
	var wg sync.WaitGroup
	free := make(chan struct{}, atATime())
	for i, r := range rows {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			r.err = r.guest.boot(dirs[i], built)
			r.read()
			fmt.Printf("%s: %.0f s, tries %d, log %s\n", r.guest.kernel.release, r.guest.took.Seconds(), r.guest.tries, r.guest.results())
		})
	}
	wg.Wait()
}

// installTools installs the packages that are not there.
func installTools() error {
	var packages []string
	for _, tool := range []struct{ program, name string }{
		{"qemu-system-x86_64", "qemu-system-x86"}, {"depmod", "kmod"}, {"mkfs.ext4", "e2fsprogs"},
		{"mkfs.xfs", "xfsprogs"}, {"xz", "xz-utils"}, {"zstd", "zstd"}, {"lz4", "lz4"},
	} {
		if _, err := exec.LookPath(tool.program); err != nil {
			packages = append(packages, tool.name)
		}
	}
	if len(packages) == 0 {
		return nil
	}
	fmt.Println("installing", packages)
	if _, err := output("", "apt-get", "update", "-qq"); err != nil {
		return err
	}
	_, err := output("", "apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)...)
	return err
}

// build compiles what the guests run, without cgo, so that it needs no libraries.
func build(dir string) (programs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p := make(programs)
	for name, args := range map[string][]string{
		"init":          {"build", "./test/kernels/init"},
		"guest.test":    {"test", "-c", "./test/kernels/guest"},
		"uring.test":    {"test", "-c", "./uring"},
		"ringfile.test": {"test", "-c", "."},
		"stream.test":   {"test", "-c", "./stream"},
		"copyfile.test": {"test", "-c", "./copyfile"},
		"fsys.test":     {"test", "-c", "./fsys"},
		"chain.test":    {"test", "-c", "./chain"},
		"durable.test":  {"test", "-c", "./durable"},
	} {
		out := filepath.Join(dir, name)
		c := exec.Command("go", slices.Insert(slices.Clone(args), len(args)-1, "-trimpath", "-ldflags=-s -w", "-o", out)...)
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if text, err := c.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", args, err, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			return nil, err
		}
		p[name] = data
	}
	return p, nil
}
