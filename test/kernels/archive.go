package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suites are those of Debian that have its kernels, in as little of an index as possible: the first
// two on the mirror of security updates, the last on the main one.
var suites = []struct {
	name     string
	security bool
	needed   bool
}{
	{"bullseye-security", true, false},
	{"bookworm-security", true, true},
	{"trixie-backports", false, true},
}

const (
	keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	flavour = "-cloud-amd64" // a third of the others' size, and NVMe and ext4 are built in
)

// archive is a view of Debian's archives that is apart from what apt has on this machine. The
// signatures of the indexes and the sums of the packages are checked by apt as always.
type archive struct {
	dir     string
	options []string
}

// openArchive brings the indexes up to date, or takes them as they are if offline.
func openArchive(dir string, offline bool) (*archive, error) {
	a := &archive{dir: dir}
	for _, sub := range []string{"lists/partial", "archives/partial", "parts"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	list := filepath.Join(dir, "sources.list")
	for _, o := range []string{"Dir::Etc::sourcelist=" + list, "Dir::Etc::sourceparts=-",
		"Dir::Etc::preferencesparts=" + dir + "/parts", "Dir::State::lists=" + dir + "/lists",
		"Dir::Cache=" + dir, "Dir::Cache::archives=" + dir + "/archives", "Dir::State::status=/dev/null",
		"Dir::Log=" + dir, "Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::Retries=3", "APT::Sandbox::User=root", "APT::Architecture=amd64", "APT::Architectures=amd64"} {
		a.options = append(a.options, "-o", o)
	}
	if offline {
		return a, nil
	}
	mirror, security, err := mirrors()
	if err != nil {
		return nil, err
	}
	// A suite out of support may be gone from the mirror; the others must not.
	for _, withOptional := range []bool{true, false} {
		var text strings.Builder
		for _, s := range suites {
			uri := mirror
			if s.security {
				uri = security
			}
			if s.needed || withOptional {
				fmt.Fprintf(&text, "deb [signed-by=%s arch=amd64] %s %s main\n", keyring, uri, s.name)
			}
		}
		if err = os.WriteFile(list, []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
		if _, err = a.apt("", "update", "-qq", "-o", "APT::Update::Error-Mode=any"); err == nil {
			return a, nil
		}
		fmt.Println(err)
	}
	return nil, fmt.Errorf("the archives' indexes cannot be had: %w", err)
}

// mirrors returns where this machine has Debian from, and its security updates.
func mirrors() (main, security string, err error) {
	out, err := output("", "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
	if err != nil {
		return "", "", err
	}
	uris := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if uri, suite, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			uris[suite] = uri
		}
	}
	for suite, uri := range uris {
		if s := uris[suite+"-security"]; s != "" {
			return uri, s, nil
		}
	}
	return "", "", fmt.Errorf("apt's sources have no Debian suite with its security updates: %v", uris)
}

// apt runs apt-get on the archive.
func (a *archive) apt(dir string, args ...string) ([]byte, error) {
	return output(dir, "apt-get", append(a.options[:len(a.options):len(a.options)], args...)...)
}

// kernels returns the kernels that are whole: with the modules that the matrix needs.
func (a *archive) kernels() ([]*kernel, error) {
	files, err := a.apt("", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages")
	if err != nil {
		return nil, err
	}
	found := make(kernels)
	for file := range strings.Lines(string(files)) {
		index, err := output("", "/usr/lib/apt/apt-helper", "cat-file", strings.TrimSpace(file))
		if err != nil {
			return nil, err
		}
		found.add(index)
	}
	return found.whole(), nil
}

// fetch downloads packages, given as name=version, into a new directory and unpacks them there.
func (a *archive) fetch(dir string, packages []string) error {
	debs, err := os.MkdirTemp(a.dir, "debs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	if _, err := a.apt(debs, append([]string{"download", "-qq"}, packages...)...); err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(all) != len(packages) {
		return fmt.Errorf("download of %v: got %v", packages, all)
	}
	for _, deb := range all {
		if _, err := output("", "dpkg", "-x", deb, dir); err != nil {
			return err
		}
	}
	return nil
}

// kernels are the packages of kernels found, by release.
type kernels map[string]*kernel

// kernel is one that can be had: its release, like 6.12.117+deb12-cloud-amd64, and the packages.
type kernel struct {
	release  string
	version  string            // of the packages
	packages map[string]string // versions by kind, like "modules"
}

// add takes the kernels' packages out of the text of an index.
func (all kernels) add(index []byte) {
	var name string
	lines := bufio.NewScanner(bytes.NewReader(index))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Package":
			name = value
		case "Version":
			all.addPackage(name, value)
		}
	}
}

func (all kernels) addPackage(name, version string) {
	for _, kind := range []string{"image", "modules", "binary-unsigned", "binary"} {
		release, ok := strings.CutPrefix(name, "linux-"+kind+"-")
		// The packages that only depend on the newest have two numbers or none: 6.12-cloud-amd64.
		if !ok || !strings.HasSuffix(release, flavour) || strings.Count(release, ".") < 2 {
			continue
		}
		k := all[release]
		if k == nil {
			k = &kernel{release: release, packages: make(map[string]string)}
			all[release] = k
		}
		if newer(version, k.packages[kind]) {
			k.packages[kind] = version
		}
		if newer(version, k.version) {
			k.version = version
		}
		return
	}
}

// whole returns those that come with modules. Since 6.19 these are a package of their own, which
// the archives drop sooner than the others.
func (all kernels) whole() (list []*kernel) {
	for _, k := range all {
		split := k.packages["binary"] != "" || k.packages["binary-unsigned"] != ""
		if k.packages["binary"] != "" {
			delete(k.packages, "binary-unsigned")
		}
		for kind, version := range k.packages {
			if version != k.version {
				delete(k.packages, kind) // left over from a former version
			}
		}
		if split && k.packages["modules"] != "" || !split && k.packages["image"] != "" {
			list = append(list, k)
		}
	}
	return list
}

// series returns the first two numbers of the version, like "6.12".
func (k *kernel) series() string {
	major, rest, _ := strings.Cut(k.version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

// names returns what to download.
func (k *kernel) names() (list []string) {
	for kind, version := range k.packages {
		list = append(list, "linux-"+kind+"-"+k.release+"="+version)
	}
	return list
}

// newest returns the newest kernel of a series, or of all for "newest"; nil if there is none.
func newest(list []*kernel, series string) (best *kernel) {
	for _, k := range list {
		if (series == "newest" || k.series() == series) && (best == nil || newer(k.version, best.version)) {
			best = k
		}
	}
	return best
}

// newer reports whether version a of a package is newer than b, by Debian's order.
func newer(a, b string) bool {
	return b == "" || exec.Command("dpkg", "--compare-versions", a, "gt", b).Run() == nil
}

// output runs a program and returns its output; its error says what the program said.
func output(dir, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, args[len(args)-1], err, stderr.Bytes())
	}
	return out, nil
}
