package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/ringfile/ringfile/internal/bench"
)

// screen is where bench writes: lines to stdout and, on a terminal, a progress bar to stderr. It is
// used by one goroutine.
type screen struct {
	out, err io.Writer
	fd       int
	isTerm   bool
	shown    bool
}

func newScreen(stdout, stderr io.Writer) *screen {
	fd, ok := terminal(stderr)
	return &screen{out: stdout, err: stderr, fd: fd, isTerm: ok}
}

// bar shows how much is done, and what is being done.
func (s *screen) bar(share float64, text string) {
	if !s.isTerm {
		return
	}
	const room = 24
	full := int(min(share, 1) * room)
	line := fmt.Sprintf("%3d%% [%s%s]  %s", int(share*100), strings.Repeat("#", full), strings.Repeat("-", room-full), text)
	// One column stays free, as some terminals wrap when the last one is written.
	fmt.Fprintf(s.err, "\r%s\x1b[K", cut(line, terminalWidth(s.fd)-1))
	s.shown = true
}

func (s *screen) hide() {
	if s.shown {
		io.WriteString(s.err, "\r\x1b[K")
		s.shown = false
	}
}

// print writes text to stdout; the bar comes back with the next call of bar.
func (s *screen) print(text string) {
	s.hide()
	io.WriteString(s.out, text)
}

func machineText(m bench.Machine) string {
	return fmt.Sprintf("%s, %s, %s of memory; %s %s; ringfile %s, %s\nbackend: %s\n",
		m.CPU, plural(int64(m.Cores), "core"), byteCount(m.Memory), m.OS, m.Kernel, m.Version, m.Go, m.Backend)
}

func volumeText(v bench.Volume) string {
	s := fmt.Sprintf("\n%s: %s on %s, file of %s", v.Name, v.Type, v.Device, byteCount(v.Size))
	if v.Note != "" {
		s += "; " + v.Note
	}
	return s + "\n"
}

// table prints results as they come in.
type table struct {
	screen *screen
	group  string
}

const (
	tableHead = "%10s  %-12s %7s %7s %8s %8s %8s %8s %8s %8s %8s  %-5s  %s\n"
	tableRow  = "%10s  %-12s %7s %7s %8s %8s %8s %8s %8.2f %8d %8s  %-5s  %s\n"
)

// head starts a new group if the title is another one than before.
func (t *table) head(title, count string) {
	if t.group == title {
		return
	}
	t.group = title
	t.screen.print("\n" + title + "\n" + strings.TrimRight(fmt.Sprintf(tableHead, count, "", "op/s", "MB/s",
		"p50", "p99", "p99.9", "queue", "CPU µs", "threads", "allocs", "ratio", "routes"), " "))
}

func (t *table) row(count string, s *bench.Side, c bench.Cell, ratio string) {
	if s.Error != "" {
		t.screen.print(fmt.Sprintf("%10s  %-12s %s\n", count, s.Name, s.Error))
		return
	}
	m, allocs, queue := s.Median, "", ""
	if d := c.Queue(s); d > 0 {
		queue = bench.Duration(d)
	}
	if !strings.HasPrefix(s.Name, "fio") {
		allocs = fmt.Sprintf("%.2f", m.AllocsPerOp)
	}
	line := fmt.Sprintf(tableRow, count, s.Name, bench.Count(m.OpsPerSecond()),
		bench.Megabytes(m.OpsPerSecond()*float64(c.Block)), bench.Duration(m.P50), bench.Duration(m.P99),
		bench.Duration(m.P999), queue, m.CPUMicros, m.Threads, allocs, ratio, s.Route())
	t.screen.print(strings.TrimRight(line, " \n") + "\n")
}

func (t *table) add(r *bench.Result) {
	t.head(r.Cell.Title()+", "+r.Cell.Mode.Title(), "goroutines")
	count := fmt.Sprint(r.Cell.Goroutines)
	if r.Skipped != "" {
		t.screen.print(fmt.Sprintf("%10s  skipped: %s\n", count, r.Skipped))
		return
	}
	ratio := ""
	if r.Ratio > 0 {
		ratio = fmt.Sprintf("%.2f", r.Ratio)
	}
	t.row(count, &r.OS, r.Cell, "")
	t.row("", &r.Ring, r.Cell, ratio)
	if r.Other != nil {
		t.row("", r.Other, r.Cell, "")
	}
	t.note(r.BesideText())
	if r.ToOther > 0 {
		t.screen.print(fmt.Sprintf("%10s  %-12s %.2f of its rate\n", "", "to that", r.ToOther))
	}
	t.doubts(r.Doubts...)
	t.doubts(r.Disturbance)
}

func (t *table) note(text string) {
	if text != "" {
		t.screen.print(fmt.Sprintf("%10s  %s\n", "", text))
	}
}

func (t *table) doubts(list ...string) {
	for _, d := range list {
		if d != "" {
			t.screen.print(fmt.Sprintf("%10s  ? %s\n", "", d))
		}
	}
}

// addFio prints a comparison with fio; the ratios are to os.File.
func (t *table) addFio(r *bench.FioResult) {
	t.head("fio: "+r.Cell().Title()+", O_DIRECT", "depth")
	count, base := fmt.Sprint(r.Depth), 0.0
	if s := r.Side(bench.NameOS); s != nil {
		base = s.Median.OpsPerSecond()
	}
	for i := range r.Sides {
		s, ratio := &r.Sides[i], ""
		if base > 0 && s.Name != bench.NameOS {
			ratio = fmt.Sprintf("%.2f", s.Median.OpsPerSecond()/base)
		}
		t.row(count, s, r.Cell(), ratio)
		count = ""
	}
	t.note(r.ToFioText())
	t.doubts(r.Disturbance)
}

// summary says in words what came out, what is slower first.
func summary(r *bench.Report) string {
	slower, equal, faster, failed, doubted, skipped := r.Summary()
	var b strings.Builder
	list := func(title string, of []*bench.Result, withRatios bool) {
		fmt.Fprintf(&b, "%s: %d of %s\n", title, len(of), bench.Plural(len(slower)+len(equal)+len(faster), "cell"))
		for _, line := range grouped(of, withRatios, len(r.Volumes) > 1) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	list("slower than os.File", slower, true)
	list("equal, or within what varies", equal, false)
	list("faster than os.File", faster, true)
	for _, res := range failed {
		for _, s := range res.Sides() {
			if s.Error != "" {
				fmt.Fprintf(&b, "failed: %s %s: %s: %s\n", res.Volume, res.Name, s.Name, s.Error)
			}
		}
	}
	if mean, n, below := r.AgainstOther(); n > 0 {
		fmt.Fprintf(&b, "ratio to the other build: %.2f, geometric mean of %s\n", mean, bench.Plural(n, "cell"))
		for _, line := range below {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "skipped: %s\n", plural(int64(skipped), "cell"))
	}
	if len(doubted) > 0 {
		fmt.Fprintf(&b, "in doubt, as the counters do not show the expected routes: %s\n", plural(int64(len(doubted)), "cell"))
	}
	return b.String()
}

// grouped lists results, those that differ in the number of goroutines only in one line.
func grouped(results []*bench.Result, withRatios, withVolume bool) (lines []string) {
	last := ""
	for _, r := range results {
		title := r.Cell.Title() + ", " + r.Cell.Mode.Title() + ", goroutines"
		if withVolume {
			title = r.Volume + ": " + title
		}
		item := fmt.Sprint(r.Cell.Goroutines)
		if withRatios {
			item += fmt.Sprintf(" (%s)", r.RatioText())
		}
		if title == last {
			lines[len(lines)-1] += ", " + item
			continue
		}
		lines, last = append(lines, title+" "+item), title
	}
	return lines
}
