package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

func TestWholeKernels(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("Debian's order of versions is dpkg's:", err)
	}
	const index = `Package: linux-image-6.12-cloud-amd64
Version: 6.12.117-1

Package: linux-image-6.12.9+deb12-cloud-amd64
Version: 6.12.9-1

Package: linux-image-6.12.117+deb12-cloud-amd64
Version: 6.12.117-1
Description: Linux
Depends: kmod

Package: linux-image-6.12.118+deb12-amd64
Version: 6.12.118-1

Package: linux-image-7.1.13+deb13-cloud-amd64
Version: 7.1.13-1

Package: linux-binary-7.1.13+deb13-cloud-amd64
Version: 7.1.13-1

Package: linux-image-7.0.4+deb13-cloud-amd64
Version: 7.0.4-1

Package: linux-binary-7.0.4+deb13-cloud-amd64
Version: 7.0.4-1

Package: linux-modules-7.0.4+deb13-cloud-amd64
Version: 7.0.4-1
`
	found := make(kernels)
	found.add([]byte(index))
	list := found.whole()
	for _, tt := range []struct{ series, want string }{
		{"6.12", "6.12.117+deb12-cloud-amd64"},
		{"7.1", ""}, // its modules are gone
		{"newest", "7.0.4+deb13-cloud-amd64"},
		{"6.1", ""},
	} {
		got := ""
		if k := newest(list, tt.series); k != nil {
			got = k.release
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.series, got, tt.want)
		}
	}
	if got := len(newest(list, "newest").names()); got != 3 {
		t.Errorf("packages of the newest: got %d, want 3", got)
	}
}

func TestExtract(t *testing.T) {
	if _, err := exec.LookPath("gzip"); err != nil {
		t.Skip(err)
	}
	elf := []byte("\x7fELF and the rest")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(elf)
	w.Close()
	packed.WriteString("size")
	image := make([]byte, 2*512+100)
	image[0x1f1] = 1 // sectors of setup, beside the first
	binary.LittleEndian.PutUint32(image[0x248:], 100)
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(packed.Len()))
	image = append(image, packed.Bytes()...)
	if got, err := extract(image); !bytes.Equal(got, elf) || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, elf)
	}
	for _, bad := range [][]byte{nil, image[:0x250], image[:len(image)-1], make([]byte, 4096)} {
		if got, err := extract(bad); err == nil {
			t.Errorf("of %d bytes: got %q, want an error", len(bad), got)
		}
	}
}

func TestCPIO(t *testing.T) {
	archive := cpio([]file{{"init", 0o755, []byte("program")}, {"a/b/c", 0o644, []byte("12345678")}, {"a/d", 0o644, nil}})
	if len(archive)%4 != 0 {
		t.Errorf("%d bytes, want a multiple of 4", len(archive))
	}
	var got []string
	for len(archive) > 0 {
		header := string(archive[:110])
		field := func(i int) (v int) {
			for _, digit := range header[6+8*i : 14+8*i] {
				v = v*16 + strings.IndexRune("0123456789abcdef", digit)
			}
			return v
		}
		size, nameSize := field(6), field(11)
		name := string(archive[110 : 110+nameSize-1])
		start := (110 + nameSize + 3) &^ 3
		got = append(got, name+" "+string(archive[start:start+size]))
		archive = archive[(start+size+3)&^3:]
	}
	want := []string{"init program", "a ", "a/b ", "a/b/c 12345678", "a/d ", "TRAILER!!! "}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParse(t *testing.T) {
	const text = "@@ boot 6.1.0-56-cloud-amd64\r\n@@ begin uring\n" +
		"=== RUN   TestA\n@@ have op NOP\n--- PASS: TestA (0.00s)\n" +
		"=== RUN   TestB\n    b_test.go:7: needs Linux 6.7: FUTEX\n--- SKIP: TestB (0.00s)\n" +
		"=== RUN   TestC\n    c_test.go:9: wrong\n--- FAIL: TestC (0.00s)\nFAIL\n\n@@ end uring 1 2.50\n" +
		"@@ begin hanging\n=== RUN   TestD\n"
	r, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if r.release != "6.1.0-56-cloud-amd64" || r.done || !reflect.DeepEqual(r.have, map[string][]string{"op": {"NOP"}}) {
		t.Errorf("got release %q, done %v, features %v", r.release, r.done, r.have)
	}
	if len(r.steps) != 2 {
		t.Fatalf("steps: got %+v", r.steps)
	}
	s := r.steps[0]
	if s.code != "1" || s.seconds != "2.50" || s.passed != 1 || len(s.failed) != 1 || s.failed[0].test != "TestC" ||
		!strings.Contains(s.failed[0].output, "wrong") || !reflect.DeepEqual(s.skipped, []skip{{"TestB", "needs Linux 6.7: FUTEX"}}) {
		t.Errorf("first step: got %+v", s)
	}
	if s := r.steps[1]; s.code != "none" || len(s.failed) != 1 || s.failed[0].test != "TestD (not ended)" {
		t.Errorf("second step: got %+v", s)
	}
	if list := (&row{series: "6.1", guest: &guest{}, results: r}).faults(); len(list) < 5 {
		t.Errorf("faults: got %q", list)
	}
}

func TestAllowed(t *testing.T) {
	list, err := allowances(`
# comment
older | * | * | needs Linux * | why
<6.6 | guest | TestDisabled | * | why
5.10, >=6.16 | uring | TestX/* | only some* | why
`)
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	for _, tt := range []struct {
		series, step string
		s            skip
		want         bool
	}{
		{"6.1", "uring", skip{"TestA", "needs Linux 6.7: FUTEX"}, true},
		{"6.7", "uring", skip{"TestA", "needs Linux 6.7: FUTEX"}, false},
		{"6.12", "uring", skip{"TestA", "needs Linux 6.7: FUTEX"}, false},
		{"5.10", "uring", skip{"TestA", "needs Linux 5.15"}, true},
		{"6.1", "guest", skip{"TestDisabled", "none"}, true},
		{"6.12", "guest", skip{"TestDisabled", "none"}, false},
		{"6.1", "uring", skip{"TestDisabled", "none"}, false},
		{"5.10", "uring", skip{"TestX/y", "only some (of them)"}, true},
		{"6.18", "uring", skip{"TestX/y", "only some"}, true},
		{"6.12", "uring", skip{"TestX/y", "only some"}, false},
		{"6.18", "uring", skip{"TestX", "only some"}, false},
	} {
		if got := allowed(list, tt.series, tt.step, tt.s) != nil; got != tt.want {
			t.Errorf("%s %s %v: got %v, want %v", tt.series, tt.step, tt.s, got, tt.want)
		}
	}
	if _, err := allowances("a | b | c\n"); err == nil {
		t.Error("a line of three columns is no error")
	}
}

// TestExpected reads the files that are checked in.
func TestExpected(t *testing.T) {
	text, err := expected.ReadFile("skips.txt")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := allowances(string(text)); err != nil || len(list) == 0 {
		t.Errorf("skips.txt: %d lines, %v", len(list), err)
	}
	for _, tt := range []struct{ series, from string }{{"6.1", "6.1"}, {"6.13", "6.12"}, {"5.4", ""}} {
		have, from := expectedFeatures(tt.series)
		if from != tt.from || from != "" && len(have["op"]) == 0 {
			t.Errorf("%s: got those of %q, %d operations, want those of %q", tt.series, from, len(have["op"]), tt.from)
		}
	}
	want := map[string][]string{"op": {"A", "B"}, "setup": {"C"}}
	if got := missing(want, map[string][]string{"op": {"B"}}); !reflect.DeepEqual(got, []string{"op A", "setup C"}) {
		t.Errorf("missing: got %q", got)
	}
}

func TestSiblings(t *testing.T) {
	got := siblings([]skip{{"T/a/x", "r"}, {"T/a/y", "r"}, {"T/a/z", "r"}, {"T/b/x", "r"}, {"T/b/y", "r"}, {"U", "r"}, {"V", "r"}, {"T/c", "q"}})
	want := []skip{{"T/a/*", "r"}, {"T/b/x", "r"}, {"T/b/y", "r"}, {"U", "r"}, {"V", "r"}, {"T/c", "q"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMeasured(t *testing.T) {
	measuring = true
	defer func() { measuring = false }()
	const table = "| work | method |\n|---|---|\n| reads | ringfile |\n"
	step := func(i int, output string) string {
		return "@@ begin " + measureSteps()[i].Name + "\n=== RUN   TestM\n" + output + "\n@@ end x 0 1.0\n"
	}
	const pass, skip = "--- PASS: TestM (0.00s)\nPASS\n", "    m_test.go:1: no disk\n--- SKIP: TestM (0.00s)\nPASS\n"
	for _, tt := range []struct {
		name, text string
		fails      bool
		want       string
	}{
		{"whole", "@@ boot 7.3\n" + step(0, table+pass) + step(1, table+pass) + "@@ done\n", false, table},
		{"a step is missing", "@@ boot 7.3\n" + step(0, table+pass) + "@@ done\n", true, table},
		{"skipped", "@@ boot 7.3\n" + step(0, skip) + step(1, table+pass) + "@@ done\n", true, "no disk"},
		{"no end", "@@ boot 7.3\n" + step(0, table+pass) + step(1, table+pass), true, table},
	} {
		r, err := parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		report, failed := measured([]*row{{series: "7.3", guest: &guest{}, results: r}})
		if failed != tt.fails || !strings.Contains(report, tt.want) {
			t.Errorf("%s: failed is %v, want %v, with %q in\n%s", tt.name, failed, tt.fails, tt.want, report)
		}
	}
}
