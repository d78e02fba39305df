package fsys_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestTempBesideOS makes temporary files and directories.
func TestTempBesideOS(t *testing.T) {
	onEach(t, func(t *testing.T, s bound) {
		dir := t.TempDir()
		for _, c := range []struct{ dir, pattern string }{
			{dir, "a*b"}, {dir, "plain"}, {dir, ""}, {dir, "x/y"}, {dir + "/none", "a*b"}, {dir, "a\x00b"},
		} {
			f, err := s.CreateTemp(c.dir, c.pattern)
			g, err1 := os.CreateTemp(c.dir, c.pattern)
			checkTemp(t, "CreateTemp", c.dir, c.pattern, err, err1)
			if err == nil {
				if _, err := f.WriteString("text"); err != nil {
					t.Error(err)
				}
				sameKind(t, f.Name(), c.pattern, describeTemp(f.Name(), 4), describeTemp(g.Name(), 0))
				f.Close()
				g.Close()
			}
			own, err := s.MkdirTemp(c.dir, c.pattern)
			std, err1 := os.MkdirTemp(c.dir, c.pattern)
			checkTemp(t, "MkdirTemp", c.dir, c.pattern, err, err1)
			if err == nil {
				sameKind(t, own, c.pattern, describeTemp(own, 0), describeTemp(std, 0))
			}
		}
	})
}

// checkTemp compares errors, but for the part of a name that is random.
func checkTemp(t *testing.T, what, dir, pattern string, got, want error) {
	t.Helper()
	if (got == nil) != (want == nil) {
		t.Errorf("%s(%q, %q): %v, want %v", what, dir, pattern, got, want)
		return
	}
	var pe, pe1 *fs.PathError
	if want != nil && (!errors.As(got, &pe) || !errors.As(want, &pe1) || pe.Op != pe1.Op || pe.Err.Error() != pe1.Err.Error()) {
		t.Errorf("%s(%q, %q): %v, want %v", what, dir, pattern, got, want)
	}
}

// describeTemp describes a temporary file, whose size ought to be size.
func describeTemp(name string, size int64) string {
	st, err := os.Stat(name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.Mode(), st.IsDir() || st.Size() == size)
}

func sameKind(t *testing.T, name, pattern, got, want string) {
	t.Helper()
	if pattern == "a*b" {
		if ok, _ := filepath.Match(pattern, filepath.Base(name)); !ok {
			t.Errorf("%s does not match %q", name, pattern)
		}
	}
	if got != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}
