package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/internal/bench"
)

func TestBenchFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		err  string // contained; empty if there is none
	}{
		{"unknown flag", "--nonsense", "not defined"},
		{"argument", "/tmp", "--dir"},
		{"two matrices", "--quick --full", "exclude"},
		{"no repetitions", "--reps 0", "at least 1"},
		{"no time", "--piece-time 0s", "at least 1ms"},
		{"size", "--size 12x", "is no size"},
		{"small size", "--size 1k", "too small"},
		{"huge size", "--size 9999999999G", "is no size"},
		{"regular expression", "--cells (", "missing closing"},
		{"goroutines", "--goroutines 1,x", "is no number of goroutines"},
		{"no goroutine", "--goroutines 0", "is no number of goroutines"},
		{"file system", "--fs ext4,fat", "unknown file system fat"},
		{"slow alone", "--slow d", "--devices"},
		{"all well", "--full --dir d --out o --size 512M --reps 2 --piece-time 10ms --cells x --goroutines 1,2 --fio", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseBench(strings.Fields(c.args))
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func TestBenchDefaults(t *testing.T) {
	for _, c := range []struct {
		args             string
		quick, full, fio bool
		out              string
		reps             int
		size             int64
		piece            time.Duration
	}{
		{"", true, false, false, "", 3, 256 << 20, 150 * time.Millisecond},
		{"--quick --out x", true, false, false, "x", 3, 256 << 20, 150 * time.Millisecond},
		{"--full", false, true, false, "ringfile-bench", 5, 1 << 30, 200 * time.Millisecond},
		{"--fs ext4,tmpfs", false, true, false, "ringfile-bench", 3, 1 << 30, 120 * time.Millisecond},
		{"--fs ext4 --quick", true, false, false, "", 3, 256 << 20, 120 * time.Millisecond},
		{"--fio", false, false, true, "ringfile-bench", 3, 1 << 30, 150 * time.Millisecond},
		{"--beside", false, false, false, "ringfile-bench", 5, 1 << 30, 150 * time.Millisecond},
		{"--devices a,b --slow c --quick", true, false, false, "ringfile-bench", 5, 256 << 20, 150 * time.Millisecond},
		{"--fio --full --reps 2 --piece-time 1ms --size 2G", false, true, true, "ringfile-bench", 2, 2 << 30, time.Millisecond},
	} {
		f, err := parseBench(strings.Fields(c.args))
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if f.quick != c.quick || f.full != c.full || f.fio != c.fio || f.out != c.out || f.reps != c.reps ||
			f.size != c.size || f.piece(false) != c.piece {
			t.Errorf("%q: got %+v, pieces of %v", c.args, f, f.piece(false))
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{{"1G", 1 << 30}, {"512M", 512 << 20}, {"2048k", 2 << 20}, {"1MiB", 1 << 20}, {"3GB", 3 << 30}, {"1050000", 1048576}} {
		if got, err := parseSize(c.in); got != c.want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", c.in, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "G", "-1G", "1GG", "1T", "1.5G", "i", "B"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q: got %d, want an error", bad, got)
		}
	}
}

// TestBench measures a few cells for moments, with children, and looks at what is left of it.
func TestBench(t *testing.T) {
	t.Setenv(childVariable, "") // the children are this program
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "report")
	got := runHere(t, "", "bench", "--dir", dir, "--out", out, "--size", "8M", "--reps", "2", "--piece-time", "5ms",
		"--cells", "op=(randread|append)/mode=cached/.*goroutines=(1|32)$")
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("status %d, stderr %q", got.status, got.stderr)
	}
	for _, want := range []string{"random read 4 KiB, in page cache", "append 4 KiB + fdatasync",
		"os.File", "slower than os.File: ", "faster than os.File: ", "With 2 repetitions these are impressions only", "report.html"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("stdout does not contain %q:\n%s", want, got.stdout)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	text, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 4 || len(r.Volumes) != 1 || r.Machine.Cores == 0 {
		t.Errorf("got %d results, %d volumes, machine %+v", len(r.Results), len(r.Volumes), r.Machine)
	}
	for _, res := range r.Results {
		if len(res.OS.Samples) != 2 || len(res.Ring.Samples) != 2 || len(res.Ratios) != 2 || res.Failed() {
			t.Errorf("%s: got %+v", res.Name, res)
		}
	}
	if runtime.GOOS == "linux" && !strings.Contains(string(text), `"other_processors": `) {
		t.Error("what else the machine did is not in the report")
	}
	for _, name := range []string{"results.csv", "report.html", r.Volumes[0].Name + "-ratio.svg"} {
		if fi, err := os.Stat(filepath.Join(out, name)); err != nil || fi.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBenchAgainst measures another build, which is this one, and one that there is not.
func TestBenchAgainst(t *testing.T) {
	t.Setenv(childVariable, "")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"bench", "--dir", t.TempDir(), "--size", "8M", "--reps", "2", "--piece-time", "5ms",
		"--cells", "op=randread/mode=cached/.*goroutines=(1|32)$"}
	got := runHere(t, "", append(args, "--against", exe)...)
	if got.status != 0 || got.stderr != "" || strings.Count(got.stdout, " of its rate\n") != 2 ||
		!strings.Contains(got.stdout, "geometric mean of 2 cells") {
		t.Errorf("status %d, stderr %q, stdout:\n%s", got.status, got.stderr, got.stdout)
	}
	got = runHere(t, "", append(args, "--against", filepath.Join(t.TempDir(), "missing"))...)
	if got.status != 1 || !strings.Contains(got.stderr, "--against") {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
}

// TestBenchBeside measures cells that are not in the matrix, on directories that stand for other devices.
func TestBenchBeside(t *testing.T) {
	t.Setenv(childVariable, "")
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()}
	got := runHere(t, "", "bench", "--dir", dirs[0], "--out", t.TempDir(), "--size", "8M", "--reps", "2", "--piece-time", "5ms",
		"--beside", "--devices", dirs[1]+","+dirs[2], "--slow", dirs[3], "--cells", "/goroutines=(8|64)/.*(compute|slow|devices=2)")
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("status %d, stderr %q", got.status, got.stderr)
	}
	wants := []string{"3 cells", "random read 4 KiB, beside goroutines that compute, one for each P, O_DIRECT",
		"random read 4 KiB, 64 files on 2 devices, O_DIRECT"}
	if !strings.Contains(got.stdout, "skipped: ") { // for want of O_DIRECT
		wants = append(wants, " steps of 100 µs of work per second, ratio ", " reads of it per second, ratio ")
	}
	for _, want := range wants {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("stdout does not contain %q:\n%s", want, got.stdout)
		}
	}
	for _, dir := range dirs {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestBenchSummaryOfOne(t *testing.T) {
	got := summary(&bench.Report{Results: []bench.Result{{Verdict: bench.Faster, Ratio: 2}}})
	if !strings.HasPrefix(got, "slower than os.File: 0 of 1 cell\n") {
		t.Errorf("got %q", got)
	}
}

// TestBenchDisturbed prints what else the machine did, below the cell.
func TestBenchDisturbed(t *testing.T) {
	var out strings.Builder
	rows := table{screen: newScreen(&out, io.Discard)}
	side := bench.Side{Samples: make([]bench.Sample, 1)}
	rows.add(&bench.Result{OS: side, Ring: side, Doubts: []string{"a doubt"}, Disturbance: "something else"})
	rows.addFio(&bench.FioResult{Sides: []bench.Side{side}, Disturbance: "something else"})
	if n := strings.Count(out.String(), "            ? something else\n"); n != 2 || !strings.Contains(out.String(), "  ? a doubt\n") {
		t.Errorf("got %q", out.String())
	}
}

func TestBenchSaysWhatIsMissing(t *testing.T) {
	t.Run("fio", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		got := runHere(t, "", "bench", "--fio", "--dir", t.TempDir(), "--out", t.TempDir())
		if got.status != exitFailed || !strings.Contains(got.stderr, "fio is not installed") {
			t.Errorf("status %d, stderr %q", got.status, got.stderr)
		}
	})
	t.Run("root", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("this is root")
		}
		got := runHere(t, "", "bench", "--fs", "tmpfs", "--out", t.TempDir())
		if got.status != exitFailed || !strings.Contains(got.stderr, "--fs") {
			t.Errorf("status %d, stderr %q", got.status, got.stderr)
		}
	})
	t.Run("cells", func(t *testing.T) {
		got := runHere(t, "", "bench", "--cells", "nonsense")
		if got.status != exitFailed || !strings.Contains(got.stderr, "no cell matches --cells; they are named like op=") {
			t.Errorf("status %d, stderr %q", got.status, got.stderr)
		}
	})
	t.Run("directory", func(t *testing.T) {
		got := runHere(t, "", "bench", "--dir", filepath.Join(t.TempDir(), "missing"))
		if got.status != exitFailed || !strings.Contains(got.stderr, "missing") {
			t.Errorf("status %d, stderr %q", got.status, got.stderr)
		}
	})
	t.Run("usage", func(t *testing.T) {
		if got := runHere(t, "", "bench", "--nonsense"); got.status != exitUsage {
			t.Errorf("status %d", got.status)
		}
		if got := runHere(t, "", "help", "bench"); got.status != 0 || got.stdout != benchUsage {
			t.Errorf("help: status %d, stdout %q", got.status, got.stdout)
		}
	})
}

// A signal ends the run; what it has made is gone and what it has measured is reported.
func TestBenchInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no interrupts on this system")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) { testBenchInterrupted(t, signal) })
	}
}

func testBenchInterrupted(t *testing.T, signal os.Signal) {
	dir, out := t.TempDir(), t.TempDir()
	cmd := child(t, "", "bench", "--dir", dir, "--out", out, "--size", "8M", "--reps", "1", "--piece-time", "20ms",
		"--goroutines", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19", "--cells", "mode=cached")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	buf := make([]byte, 1<<10)
	for !strings.Contains(seen.String(), "ringfile  ") {
		n, err := stdout.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v after %q", err, seen.String())
		}
	}
	cmd.Process.Signal(signal)
	io.Copy(&seen, stdout)
	cmd.Wait()
	if got, want := cmd.ProcessState.ExitCode(), (signalError{signal}).status(); got != want {
		t.Errorf("status: got %d, want %d", got, want)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	text, _ := os.ReadFile(filepath.Join(out, "results.json"))
	if !strings.Contains(string(text), `"interrupted": true`) || !strings.Contains(seen.String(), "slower than") {
		t.Errorf("the report is missing, after %q", seen.String())
	}
}
