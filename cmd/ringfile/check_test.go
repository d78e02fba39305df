package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// likeSha256sum runs sha256sum and "ringfile sum" with the same arguments and input, and compares
// all that they leave. The name of the program in messages is a difference, and that sha256sum 9.1
// does not escape a name that it has checked if there is no newline in it; later ones do.
func likeSha256sum(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := sha256sum(t, args...)
	cmd.Args[0] = "sha256sum"
	cmd.Stdin = strings.NewReader(stdin)
	theirs := runChild(t, cmd)
	ours := runHere(t, stdin, append([]string{"sum"}, args...)...)
	got, want := strings.Split(ours.stdout, "\n"), strings.Split(theirs.stdout, "\n")
	for i, line := range want {
		if i < len(got) && got[i] == `\`+string(appendName(nil, line)) {
			want[i] = got[i]
		}
	}
	sameLines(t, strings.Join(got, "\n"), strings.Join(want, "\n"))
	sameLines(t, strings.ReplaceAll(ours.stderr, "ringfile sum: ", "sha256sum: "), theirs.stderr)
	if ours.status != theirs.status {
		t.Errorf("status: got %d, want %d", ours.status, theirs.status)
	}
	return ours
}

func TestSumForms(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	oddFiles(t, ".")
	var names []string
	for _, name := range oddNames {
		if _, err := os.Lstat(name); err == nil {
			names = append(names, name)
		}
	}
	names = append(names, "missing", "plain/missing", "missing\nline")
	for _, flags := range []string{"", "--tag", "-z", "--zero --tag", "-b", "--binary -z", "-t", "-bz", "-t --tag", "--tag -b"} {
		t.Run(flags, func(t *testing.T) {
			ours := likeSha256sum(t, "", slices.Concat(strings.Fields(flags), []string{"--"}, names)...)
			if strings.Contains(flags, "z") {
				return
			}
			// What is printed can be checked, by both.
			for _, checker := range []string{"theirs", "ours"} {
				check := child(t, "", "sum", "-c", "--quiet", "--strict")
				if checker == "theirs" {
					check = sha256sum(t, "-c", "--quiet", "--strict")
				}
				check.Stdin = strings.NewReader(ours.stdout)
				if r := runChild(t, check); r != (result{}) {
					t.Errorf("checked by %s: got %+v", checker, r)
				}
			}
		})
	}
	likeSha256sum(t, "standard input", "--tag")
	likeSha256sum(t, "standard input", "-z", "-")
	likeSha256sum(t, "", "plain", "-b", "with space", "--", "-dash", "--tag") // flags behind names
}

// checkFiles makes a directory with files, goes there, and returns the sum of each, which is the same.
func checkFiles(t *testing.T) (sum string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b", " a", "*a", "new\nline", "SHA256", "(a)", "-a"} {
		if err := os.WriteFile(name, []byte("data"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("dir", 0o755); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte("data")))
}

// TestCheckLists has lists with all that may be wrong, and each way to be told about it.
func TestCheckLists(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names that this system does not have")
	}
	sum := checkFiles(t)
	wrong := strings.Repeat("0", 64)
	good := sum + "  a\n" + sum + " *b\n\\" + sum + "  new\\nline\n# comment\n\nSHA256 (a) = " + sum + "\n"
	lists := map[string]string{
		"good":           good,
		"empty":          "",
		"comments":       "# nothing\n\n#\n",
		"no lines":       "no sum\nat all\n",
		"mismatch":       good + wrong + "  a\n",
		"two mismatches": wrong + "  a\n" + wrong + "  b\n",
		"bad line":       "bad\n" + good,
		"bad lines":      "bad\n" + good + " # no comment\nbad",
		"missing":        good + sum + "  missing\n",
		"all missing":    sum + "  missing\n" + sum + "  a/missing\n",
		"only missing":   sum + "  missing\n" + sum + "  missing2\n",
		"directory":      good + sum + "  dir\n",
		"everything":     "bad\n" + good + wrong + "  b\n" + sum + "  missing\n" + sum + "  dir\nbad\n",
	}
	for name, text := range lists {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range []string{"", "--quiet", "--status", "--strict", "-w", "--ignore-missing", "-w --strict",
		"--status --strict", "--status -w", "-w --status", "--status --ignore-missing", "--quiet --ignore-missing"} {
		for name, text := range lists {
			t.Run(name+" "+flags, func(t *testing.T) {
				likeSha256sum(t, "", slices.Concat([]string{"-c"}, strings.Fields(flags), []string{name})...)
				likeSha256sum(t, text, slices.Concat([]string{"-c"}, strings.Fields(flags))...)
			})
		}
	}
	likeSha256sum(t, "", "--check", "good", "mismatch", "nothing", "bad lines", "good")
	likeSha256sum(t, good, "-cw", "-", "good", "--strict")
	likeSha256sum(t, "data", "-c", "-", "good") // data is no line
	likeSha256sum(t, sum+"  -\n", "-c")         // a list cannot have itself
	if err := os.WriteFile("stdin", []byte(sum+"  -\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	likeSha256sum(t, "data", "-c", "stdin")
	likeSha256sum(t, "data", "-c", "stdin", "-") // the second list is what the first has left: nothing
}

// TestCheckLines has one line each that is nearly a sum.
func TestCheckLines(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names that this system does not have")
	}
	sum := checkFiles(t)
	for _, line := range []string{
		"%s  a", "%s  a\r\n", "%s a\n", "  \t%s  a\n", "%s *a\n", "%s  *a\n", "%s **a\n", "%s\ta\n", "%s\t a\n", "%s   a\n", "%s ? a\n",
		"%s  \n", "%s \n", "%s\n", "%s   \n", "%s-a\n", "%s0  a\n", "%s", "x%s  a\n", "*%s  a\n", "%s  a \n", "%s  a\t\n", "%s  b\r\r\n",
		"SHA256 (a) = %s\n", "SHA256(a)= %s\n", "SHA256(a)=%s", "SHA256 (a)\t=\t%s\r\n", "SHA256 (a) = %s0\n", "SHA256  (a) = %s\n",
		"SHA256 (a) = %s \n", "SHA256 (a) %s\n", "SHA256 (a = %s\n", "SHA256 a) = %s\n", "SHA256 () = %s\n", "SHA256 (a) b) = %s\n",
		"SHA256 ((a)) = %s\n", "SHA256 (dir) = %s\n", " SHA256 (a) = %s\n", "MD5 (a) = %s\n", "sha256 (a) = %s\n", "SHA256\n%s  a\n", "SHA256 %s  a\n",
		"\\%s  new\\nline\n", "\\%s *new\\nline\n", "\\%s  a\\x\n", "\\%s  a\\\n", "\\SHA256 (new\\nline) = %s\n", "\\SHA256 (a\\) = %s\n",
		"\\\\%s  a\n", "\\ %s  a\n", "%s  new\\nline\n", "\\%s  a\n", " \\%s  a\n",
		"%s  a\n\n\n#x\n  #y\n\r\n", "#%s  a\n", " \n%s  a\n", "%s  -a\n", "%s  ./a\n", "%s  ./././a\n",
	} {
		text := strings.ReplaceAll(line, "%s", sum)
		for _, text := range []string{
			text,
			strings.ReplaceAll(line, "%s", strings.ToUpper(sum)),
			strings.ReplaceAll(line, "%s", "z"+sum[1:]),
			strings.ReplaceAll(line, "%s", sum[1:]),
			strings.TrimSuffix(text, "\n") + "\n" + sum + "  a\n", // the usual form behind it,
			sum + "  a\n" + text,
			sum + " a\n" + text, // and the one with one space
		} {
			t.Run(fmt.Sprintf("%q", text), func(t *testing.T) { likeSha256sum(t, text, "-c", "-w") })
		}
	}
}

// TestCheckOddNames checks what is printed about names that need care.
func TestCheckOddNames(t *testing.T) {
	t.Chdir(t.TempDir())
	oddFiles(t, ".")
	all := runHere(t, "", "sum", ".")
	got := runHere(t, all.stdout, "sum", "-c")
	var want strings.Builder
	for line := range strings.Lines(all.stdout) {
		escape, rest := "", line
		if rest, ok := strings.CutPrefix(line, `\`); ok {
			escape, line = `\`, rest
		}
		rest = strings.TrimSuffix(line[66:], "\n")
		want.WriteString(escape + rest + ": OK\n")
	}
	sameLines(t, got.stdout, want.String())
	if got.status != 0 || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
}

// TestCheckLimits has lines that are no lines: longer than any name, without an end, and with NUL,
// where sha256sum would check another name.
func TestCheckLimits(t *testing.T) {
	sum := checkFiles(t)
	long := sum + "  " + strings.Repeat("a", maxLine)
	for _, c := range []struct{ text, stdout string }{
		{long + "\n" + sum + "  a\n", "a: OK\n"},
		{sum + "  a\n" + long, "a: OK\n"},
		{"#" + long + "\n" + sum + "  a\n", "a: OK\n"},
		{sum + "  a\x00b\n" + sum + "  b\n", "b: OK\n"},
	} {
		bad := 1
		if c.text[0] == '#' {
			bad = 0
		}
		got := runHere(t, c.text, "sum", "-c")
		if got.stdout != c.stdout || got.status != 0 || strings.Count(got.stderr, "improperly") != bad {
			t.Errorf("%.80q: got %+v", c.text, got)
		}
	}
	// An endless list ends with an interrupt.
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	status := make(chan int)
	go func() { status <- run(ctx, []string{"sum", "-c"}, r, io.Discard, io.Discard) }()
	w.Write(bytes.Repeat([]byte("x"), 4*maxLine))
	cancel()
	if got := <-status; got != exitInterrupted {
		t.Errorf("interrupted: got %d, want %d", got, exitInterrupted)
	}
}

// TestCheckMany checks a tree, with what goes with it: many files at a time, in order.
func TestCheckMany(t *testing.T) {
	dir := makeTree(t)
	for _, flags := range [][]string{{}, {"--tag"}, {"-b"}} {
		sums := runHere(t, "", slices.Concat([]string{"sum"}, flags, []string{dir})...).stdout
		list := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(list, []byte(sums), 0o644); err != nil {
			t.Fatal(err)
		}
		got := runHere(t, "", "sum", "-qvc", "--strict", list)
		if got.stdout != "" || got.status != 0 || !summaryLine.MatchString(got.stderr) ||
			!strings.Contains(got.stderr, fmt.Sprintf("ringfile sum: %d files, ", strings.Count(sums, "\n"))) {
			t.Errorf("%s: got %+v", flags, got)
		}
	}
	sums := runHere(t, "", "sum", dir).stdout
	if err := os.WriteFile(filepath.Join(dir, "sub", "a"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := runHere(t, sums, "sum", "-c", "-v", "--quiet")
	if want := filepath.Join(dir, "sub", "a") + ": FAILED\n"; got.stdout != want || got.status != exitFailed ||
		!strings.HasPrefix(got.stderr, "ringfile sum: WARNING: 1 computed checksum did NOT match\nringfile sum: ") ||
		!strings.Contains(got.stderr, " files, 1 failed, ") {
		t.Errorf("got %+v", got)
	}
}

func TestCheckWriteError(t *testing.T) {
	checkFiles(t)
	sums := runHere(t, "", "sum", ".").stdout
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"sum", "-c"}, strings.NewReader(sums), &brokenWriter{5}, &stderr)
	if status != exitFailed || stderr.String() != "ringfile sum: write error: No room\n" {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
	if status := run(t.Context(), []string{"sum", "-c", "--status"}, strings.NewReader(sums), &brokenWriter{0}, &stderr); status != 0 {
		t.Errorf("nothing to print: status %d", status)
	}
}

func TestSumMisuse(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"--strict a", "--strict is meaningful only with -c"},
		{"--ignore-missing a", "--ignore-missing is meaningful only with -c"},
		{"--status a", "--status is meaningful only with -c"},
		{"a -w", "--warn is meaningful only with -c"},
		{"-c --tag a", "--tag has no meaning with -c"},
		{"-cz a", "-z cannot be used with -c"},
		{"--tag -t a", "--tag and --text are mutually exclusive"},
		{"-cx a", "not defined"},
		{"a --nonsense", "not defined"},
		{"-cjx a", "invalid value"},
		{"a -j", "needs an argument"},
	} {
		got := runHere(t, "", append([]string{"sum"}, strings.Fields(c.args)...)...)
		if got.status != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.stderr) {
			t.Errorf("%s: got %+v, want %q", c.args, got, c.stderr)
		}
	}
}

// FuzzCheckLine checks that a line that we print is read as it was meant, and that no line at all
// makes trouble.
func FuzzCheckLine(f *testing.F) {
	f.Add("name", true, []byte("SHA256 (a) = 00"))
	f.Add("new\nline", false, []byte("\\00  \\"))
	f.Fuzz(func(t *testing.T, name string, tag bool, junk []byte) {
		new(lineParser).parse(junk)
		if name == "" || strings.ContainsRune(name, 0) {
			return
		}
		sum := sha256.Sum256([]byte(name))
		line := lineForm{tag: tag}.append(nil, sum, name)
		gotSum, got, ok := new(lineParser).parse(line[:len(line)-1])
		if !ok || got != name || gotSum != sum {
			t.Errorf("%q: got %q, %v", line, got, ok)
		}
	})
}
