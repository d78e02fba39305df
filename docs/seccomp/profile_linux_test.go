package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

const rule = "allow-io_uring.json"

func TestMain(m *testing.M) {
	if os.Getenv("SECCOMP_CHILD") != "" {
		if err := child(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child obeys the filter on its standard input and says what ringfile makes of that.
func child() error {
	var filter []unix.SockFilter
	for {
		var f unix.SockFilter
		if binary.Read(os.Stdin, binary.NativeEndian, &f) != nil {
			break
		}
		filter = append(filter, f)
	}
	if err := testutil.ObeyFilter(filter); err != nil {
		return err
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		return fmt.Errorf("New: %w", err)
	}
	defer e.Close()
	name := filepath.Join(os.Getenv("SECCOMP_CHILD"), "file")
	f, err := e.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	want, got := ringfile.AlignedBuffer(8192, 4096), ringfile.AlignedBuffer(8192, 4096)
	testutil.Pattern(want, 0)
	_, err = f.StartWriteAt(want, 0).Await()
	_, err1 := f.StartSync().Await()
	_, err2 := f.StartReadAt(got, 0).Await()
	if err := errors.Join(err, err1, err2, f.Allocate(0, 1<<16, 0), f.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("wrong data")
	}
	if e.Backend() == ringfile.BackendURing && e.Stats().Ring == 0 {
		return errors.New("no operation has gone through a ring")
	}
	fmt.Printf("%v, %v\n", e.Backend(), e.Available())
	return nil
}

// inChild runs child with a profile and returns what it said.
func inChild(t *testing.T, p *testutil.Profile, backend string) (string, error) {
	t.Helper()
	numbers, err := testutil.SyscallNumbers()
	if err != nil {
		t.Skip(err)
	}
	filter, err := p.Compile(numbers)
	if err != nil {
		t.Fatal(err)
	}
	var stdin bytes.Buffer
	if err := binary.Write(&stdin, binary.NativeEndian, filter); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SECCOMP_CHILD="+t.TempDir(), "RINGFILE_BACKEND="+backend)
	cmd.Stdin = &stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// baseName is the profile to which the rule is added: one with what a Go program needs, or the one in
// SECCOMP_BASE, such as a container runtime's default.
func baseName() string {
	if name := os.Getenv("SECCOMP_BASE"); name != "" {
		return name
	}
	return filepath.Join("testdata", "base.json")
}

func load[T testutil.Profile | testutil.ProfileRule](t *testing.T, name string) *T {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := testutil.ParseProfile[T](text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// TestProfile obeys a runtime's profile as it is, and with the rule added: the one difference is that
// ringfile uses io_uring.
func TestProfile(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	p := load[testutil.Profile](t, baseName())
	for _, c := range []struct {
		backend, want string
		fails         bool
	}{
		{"auto", "blocking, io_uring is unavailable: io_uring_setup: operation not permitted (a seccomp", false},
		{"uring", "New: io_uring is unavailable: io_uring_setup: operation not permitted (a seccomp", true},
		{"blocking", "blocking, ", false},
	} {
		if out, err := inChild(t, p, c.backend); !strings.HasPrefix(out, c.want) || (err != nil) != c.fails {
			t.Errorf("without the rule, %s: %v: %q, want %q", c.backend, err, out, c.want)
		}
	}
	p.Syscalls = append(p.Syscalls, *load[testutil.ProfileRule](t, rule))
	for _, backend := range []string{"auto", "uring"} {
		if out, err := inChild(t, p, backend); out != "uring, <nil>\n" || err != nil {
			t.Errorf("with the rule, %s: %v: %q", backend, err, out)
		}
	}
}

// TestHalfARule leaves one of the calls out: what is refused later than io_uring_setup must not stop
// a program either.
func TestHalfARule(t *testing.T) {
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	for _, refused := range load[testutil.ProfileRule](t, rule).Names {
		p := load[testutil.Profile](t, baseName())
		half := load[testutil.ProfileRule](t, rule)
		half.Names = slices.DeleteFunc(half.Names, func(name string) bool { return name == refused })
		p.Syscalls = append(p.Syscalls, *half)
		out, err := inChild(t, p, "auto")
		if want := "blocking, io_uring is unavailable: "; err != nil || !strings.HasPrefix(out, want) ||
			!strings.Contains(out, "operation not permitted") {
			t.Errorf("without %s: %v: %q, want %q", refused, err, out, want)
		}
	}
}

// TestRule checks that the rule allows what ringfile calls and nothing else.
func TestRule(t *testing.T) {
	r := load[testutil.ProfileRule](t, rule)
	want := &testutil.ProfileRule{Names: []string{"io_uring_setup", "io_uring_enter", "io_uring_register"},
		Action: "SCMP_ACT_ALLOW", Comment: r.Comment}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for _, bad := range []string{`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "nonsense": 1}`, `{} {}`, `[`} {
		if _, err := testutil.ParseProfile[testutil.ProfileRule]([]byte(bad)); err == nil {
			t.Errorf("%s is taken for a rule", bad)
		}
	}
}

// TestDocumented runs the command of docs/security.md that adds the rule, and checks that pod.yaml
// names its result.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../security.md")
	if err != nil {
		t.Fatal(err)
	}
	const command = `jq '.syscalls += $rule' --slurpfile rule allow-io_uring.json default.json > ringfile.json`
	if !strings.Contains(string(doc), command) {
		t.Errorf("docs/security.md does not have the command %s", command)
	}
	pod, err := os.ReadFile("pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"type: Localhost", "localhostProfile: profiles/ringfile.json"} {
		if !strings.Contains(string(pod), line) || !strings.Contains(string(doc), line) {
			t.Errorf("pod.yaml and docs/security.md do not both have %q", line)
		}
	}
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{rule: rule, baseName(): "default.json"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := load[testutil.Profile](t, baseName())
	want.Syscalls = append(want.Syscalls, *load[testutil.ProfileRule](t, rule))
	if got := load[testutil.Profile](t, filepath.Join(dir, "ringfile.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
