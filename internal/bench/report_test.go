package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fakeReport has a bit of everything, and names that need escaping.
func fakeReport() *Report {
	side := func(name string, rate int) Side {
		s := Side{Name: name}
		for i := range 3 {
			s.Samples = append(s.Samples, Sample{Ops: rate + i, Seconds: 0.5, P50: 70_000, P99: 1_000_000, P999: 2e9,
				CPUMicros: 12.5, Threads: 9, InCache: -1, Routes: Routes{Ring: uint64(rate + i)}})
		}
		s.summarize()
		return s
	}
	r := &Report{
		Machine: Machine{CPU: `<CPU> & "Co"`, Cores: 2, Memory: 1 << 34, Kernel: "6.18", OS: "linux", Go: "go1.26"},
		Command: "ringfile bench --cells '<a>&b'", Date: time.Unix(0, 0).UTC(), Reps: 3, Piece: time.Second,
		Volumes: []Volume{{Name: "ext4", Type: "ext4", Device: "/dev/<x>", Size: 1 << 30}},
	}
	for i, c := range Full() {
		res := Result{Volume: "ext4", Cell: c, Name: c.String(), OS: side(NameOS, 1000), Ring: side(NameRing, 500+i*20)}
		res.judge(device)
		switch i {
		case 1:
			res = Result{Volume: "ext4", Cell: c, Name: c.String(), Skipped: "too <small>"}
		case 2:
			res.OS = Side{Name: NameOS, Error: "died & gone"}
			res.Ratios, res.Ratio = nil, 0
		}
		r.Results = append(r.Results, res)
	}
	for _, f := range FioCells() {
		res := FioResult{FioCell: f, Volume: "ext4"}
		for _, e := range f.engines() {
			res.Sides = append(res.Sides, side("fio "+e, 900))
		}
		res.Sides = append(res.Sides, Side{Name: NameOS, Error: "no"}, side(NameRing, 950))
		r.Fio = append(r.Fio, res)
	}
	return r
}

func TestReportJSON(t *testing.T) {
	r := fakeReport()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*r, back) {
		t.Error("what is read back is not what was written")
	}
}

func TestReportCSV(t *testing.T) {
	r := fakeReport()
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll() // wants the same number of fields in each
	if err != nil {
		t.Fatal(err)
	}
	want := 1 + 2*len(r.Results)
	for _, f := range r.Fio {
		want += len(f.Sides)
	}
	if len(lines) != want || len(lines[0]) != len(csvHeader) {
		t.Errorf("got %d lines of %d fields, want %d of %d", len(lines), len(lines[0]), want, len(csvHeader))
	}
}

// wellFormed checks that text is XML and that nothing in it comes from elsewhere.
func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "%!", "href="} {
		if strings.Contains(text, bad) {
			t.Errorf("%s contains %s", name, bad)
		}
	}
}

func TestImages(t *testing.T) {
	names := map[string]bool{}
	for _, i := range fakeReport().Images() {
		wellFormed(t, i.File, i.SVG)
		if names[i.File] {
			t.Errorf("%s is there twice", i.File)
		}
		names[i.File] = true
	}
	for _, want := range []string{"ext4-ratio.svg", "ext4-direct-throughput.svg", "ext4-cached-p99.svg", "ext4-cold-cpu.svg",
		"ext4-direct-threads.svg", "ext4-fio-randrw-16k.svg", "ext4-fio-randrw-32k.svg", "ext4-fio-randrw-1M.svg",
		"ext4-fio-randread-4k.svg"} {
		if !names[want] {
			t.Errorf("no %s", want)
		}
	}
	if images := new(Report).Images(); len(images) != 0 {
		t.Errorf("of nothing, there are %d images", len(images))
	}
}

func TestReportHTML(t *testing.T) {
	r := fakeReport()
	var b strings.Builder
	if err := r.WriteHTML(&b, r.Images()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<CPU>", "<a>&b", "too <small>", "src=", "<script", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
	for _, want := range []string{"Slower than os.File", "died &amp; gone", "too &lt;small&gt;", Left[0]} {
		if !strings.Contains(page, want) && !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("the page does not contain %s", want)
		}
	}
}

// TestReportReads looks at what made reports hard to read.
func TestReportReads(t *testing.T) {
	r := fakeReport()
	r.Machine.Cores, r.Reps = 1, 1
	r.Results[3].Disturbance = "something else <kept> it busy"
	r.Fio[0].Disturbance = "something else kept it busy, too"
	var b strings.Builder
	if err := r.WriteHTML(&b, r.Images()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if bad := regexp.MustCompile(`\b1 (goroutine|core|cell|repetition)s`).FindString(page); bad != "" {
		t.Errorf("the page says %q", bad)
	}
	for _, want := range []string{
		" with 1 goroutine, ", "1 core,", "1 repetition of", "Skipped here: 1 cell.",
		"With 1 repetition these are impressions only", "In 2 of ", "something else &lt;kept&gt; it busy", "it busy, too",
		"<meta name=\"color-scheme\" content=\"light dark\">", "@media (prefers-color-scheme:dark){:root{",
		"<h3>Slower than os.File: ", "<h3>Equal, or within what varies: ", "<h3>Faster: ", "<li>random read 4 KiB, O_DIRECT: ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}

	// Nothing but the tables of numbers is wider than the window, and those scroll by themselves;
	// their ratio is within the first 1,280 pixels. Digits and letters take at most 8 of them here.
	_, table, _ := strings.Cut(page, "<h2>All numbers</h2>\n<div class=\"wide\"><table>")
	width, found := 0, false
	rows := regexp.MustCompile(`(?s)<tr[^>]*>(.*?)</tr>`).FindAllStringSubmatch(table, -1)
	if len(rows) == 0 {
		t.Fatal("there is no table of numbers that scrolls by itself")
	}
	cells := regexp.MustCompile(`(?s)<t[hd]([^>]*)>(.*?)</t[hd]>`)
	for column, head := range cells.FindAllStringSubmatch(rows[0][1], -1) {
		widest := 0
		for _, row := range rows {
			if c := cells.FindAllStringSubmatch(row[1], -1); column < len(c) && !strings.Contains(c[column][1], "colspan") {
				widest = max(widest, len([]rune(html.UnescapeString(c[column][2]))))
			}
		}
		width += widest*8 + 18
		if found = head[2] == "ratio"; found {
			break
		}
	}
	if !found || width > 1280 {
		t.Errorf("the ratio ends at %d pixels (found: %v)", width, found)
	}

	// Each heading that is no plain word is explained.
	_, terms, _ := strings.Cut(page, "<h2>Terms</h2>")
	for _, term := range []string{"ratio", "op/s", "MB/s", "p50", "p99", "p99.9", "queue", "CPU µs/op", "threads", "io-wq", "allocs/op", "routes",
		"beside",
		"O_DIRECT", "in page cache", "cold", "cell", "piece", "repetition", "faster", "slower", "something else"} {
		if !regexp.MustCompile(`<dt>[^<]*` + regexp.QuoteMeta(term) + `[^<]*</dt><dd>.`).MatchString(terms) {
			t.Errorf("%q is not explained", term)
		}
	}
}

// TestImagesDark checks that each colour that a dark page needs turned around is.
func TestImagesDark(t *testing.T) {
	for _, i := range fakeReport().Images() {
		if !strings.Contains(i.SVG, "<style>@media (prefers-color-scheme:dark){") {
			t.Errorf("%s is light on dark pages", i.File)
		}
		for _, color := range []string{paper, ink, faint} {
			if strings.Contains(i.SVG, `fill="`+color+`"`) && !strings.Contains(darkStyle, `[fill="`+color+`"]`) {
				t.Errorf("%s: %s stays", i.File, color)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		reps int
		want string // contained; empty if there is none
	}{
		{1, "With 1 repetition these are impressions only"},
		{2, "With 2 repetitions these are impressions only"},
		{3, "With 3 repetitions, all of them agree by chance in one of 4 cells"},
		{4, "in one of 8 cells"},
		{5, ""},
	} {
		got := strings.Join((&Report{Reps: c.reps}).Warnings(), " ")
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%d repetitions: got %q, want %q", c.reps, got, c.want)
		}
	}
	r := &Report{Reps: 5, Results: []Result{{Disturbance: "x"}, {Skipped: "y"}, {}}}
	want := "Warning: this machine did something else meanwhile. In 1 of 2 cells "
	if got := r.Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		values    []float64
		log       bool
		low, high float64
	}{
		{nil, false, 0, 1},
		{[]float64{0}, true, 0, 1},
		{[]float64{3, math.NaN(), 80}, false, 0, 80},
		{[]float64{3, 81}, false, 0, 100},
		{[]float64{3, 81}, true, 1, 100},
		{[]float64{1, 1}, true, 1, 10},
		{[]float64{0.00002, 3}, true, 0.00001, 10},
	} {
		p := Panel{Log: c.log, Lines: []Line{{Y: c.values}}}
		low, high, ticks := p.scale()
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }
		if !near(low, c.low) || !near(high, c.high) || len(ticks) < 2 || len(ticks) > 8 {
			t.Errorf("%v (log: %v): got %v to %v, ticks %v, want %v to %v", c.values, c.log, low, high, ticks, c.low, c.high)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(7.25), "7.25"}, {Count(999), "999"}, {Count(1000), "1k"},
		{Count(10_000), "10k"}, {Count(123_456), "123k"}, {Count(999_700), "1M"}, {Count(2.5e6), "2.5M"},
		{Count(999_400), "999k"}, {Count(120e6), "120M"}, {Count(3e9), "3G"},
		{Duration(1500), "1.50µs"}, {Duration(70_000), "70.0µs"}, {Duration(999_000), "999µs"},
		{Duration(1_500_000), "1.50ms"}, {Duration(2e9), "2.00s"},
		{seconds(70e-6), "70µs"}, {seconds(1e-3), "1ms"}, {seconds(2), "2s"},
		{Megabytes(47.4e6), "47.4"}, {Megabytes(5.54e9), "5540"},
		{Size(4096), "4k"}, {Size(1 << 20), "1M"}, {Size(1000), "1000"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

const fioText = `note: both iodepth >= 1 and synchronous I/O engine are selected
{ "fio version" : "fio-3.33", "jobs" : [ { "jobname" : "x", "error" : 0, "job_runtime" : 2000,
  "usr_cpu" : 10.0, "sys_cpu" : 15.0,
  "read" : { "total_ios" : 750, "runtime" : 500, "lat_ns" : { "percentile" : { "50.000000" : 1000, "99.000000" : 2000, "99.900000" : 3000 } } },
  "write" : { "total_ios" : 250, "runtime" : 499, "lat_ns" : { } } } ] }
`

func TestParseFio(t *testing.T) {
	s, err := parseFio([]byte(fioText))
	if err != nil {
		t.Fatal(err)
	}
	want := Sample{Ops: 1000, Seconds: 0.5, P50: 1000, P99: 2000, P999: 3000, CPUMicros: 500, InCache: -1}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	for _, bad := range []string{"", "fio: engine not loadable", "{}", "{", `{"jobs":[{"error":5}]}`} {
		if _, err := parseFio([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestFioArguments(t *testing.T) {
	b := &Bench{Size: 1 << 30, data: "data"}
	for _, c := range []struct{ engine, want string }{
		{"io_uring", "--iodepth=16 --numjobs=1"}, {"libaio", "--iodepth=16 --numjobs=1"}, {"psync", "--iodepth=1 --numjobs=16"},
	} {
		f := fioPiecer{engine: c.engine, cell: FioCell{"randrw", 32 << 10, 16}, b: b}
		args := strings.Join(f.args(time.Second/2), " ")
		for _, want := range []string{c.want, "--ioengine=" + c.engine, "--direct=1", "--rwmixread=75", "--bs=32768", "--runtime=500ms",
			fmt.Sprintf("--size=%d", 1<<30)} {
			if !strings.Contains(args, want) {
				t.Errorf("%s: no %s in %s", c.engine, want, args)
			}
		}
	}
}
