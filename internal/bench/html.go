package bench

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer, images []Image) error {
	slower, equal, faster, failed, doubted, skipped := r.Summary()
	type picture struct {
		Title string
		SVG   template.HTML
		Main  bool
	}
	many := len(r.Volumes) > 1
	data := struct {
		*Report
		Verdicts []verdictList
		Failed   []*Result
		Doubted  []*Result
		Skipped  int
		Left     []string
		Images   []picture
	}{r, []verdictList{
		{"Slower than os.File", len(slower), inWords(slower, many)},
		{"Equal, or within what varies", len(equal), inWords(equal, many)},
		{"Faster", len(faster), inWords(faster, many)},
	}, failed, doubted, skipped, Left, nil}
	for _, i := range images {
		data.Images = append(data.Images, picture{i.Title, template.HTML(i.SVG), i.Main})
	}
	return page.Execute(w, data)
}

// verdictList is the cells with one verdict, in words.
type verdictList struct {
	Title string
	Cells int
	Lines []string
}

// inWords says in a line for each kind of work what the ratios are, by the number of goroutines.
func inWords(results []*Result, withVolume bool) (lines []string) {
	last := ""
	for _, r := range results {
		title := r.Cell.Title() + ", " + r.Cell.Mode.Title()
		if withVolume {
			title = r.Volume + ": " + title
		}
		item := fmt.Sprintf("%s with %s", r.RatioText(), Plural(r.Cell.Goroutines, "goroutine"))
		if title == last {
			lines[len(lines)-1] += ", " + item
			continue
		}
		lines, last = append(lines, title+": "+item), title
	}
	return lines
}

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"count":    Count,
	"plural":   Plural,
	"duration": Duration,
	"queue": func(c Cell, s *Side) string {
		if d := c.Queue(s); d > 0 {
			return Duration(d)
		}
		return ""
	},
	"mb":    func(s *Side, block int) string { return Megabytes(s.Median.OpsPerSecond() * float64(block)) },
	"f":     func(format string, v ...any) string { return fmt.Sprintf(format, v...) },
	"sides": func(r *Result) []*Side { return []*Side{&r.OS, &r.Ring} },
	"fiosides": func(r FioResult) (s []*Side) {
		for i := range r.Sides {
			s = append(s, &r.Sides[i])
		}
		return s
	},
	"ptr":  func(r Result) *Result { return &r },
	"join": strings.Join,
	"gib":  func(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) },
}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ringfile bench</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
:root{--ink:#1f2933;--page:#fff;--line:#e4e7eb;--shade:#f5f7fa;--good:#0b5cad;--bad:#b94704}
@media (prefers-color-scheme:dark){:root{--ink:#dde3ea;--page:#14181d;--line:#333b45;--shade:#1e242b;--good:#6cb0f5;--bad:#f2914e}}
body{font:15px/1.5 system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;color:var(--ink);background:var(--page);max-width:1320px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em}h3{font-size:1em}
table{border-collapse:collapse;font-size:13px;margin:1em 0}
th,td{padding:2px 9px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{background:var(--shade)}td.l,th.l{text-align:left}
table.about td{white-space:normal;overflow-wrap:anywhere}
.wide{overflow-x:auto}
tr.faster td.r{color:var(--good);font-weight:600}tr.slower td.r{color:var(--bad);font-weight:600}
.note{color:var(--bad);white-space:normal}
svg{max-width:100%;height:auto;display:block;margin:1em 0;border:1px solid var(--line)}
summary{cursor:pointer;padding:.3em 0}
dt{font-weight:600;margin-top:.4em}dd{margin-left:1.5em}
code{background:var(--shade);padding:1px 4px}
</style></head><body>
<h1>ringfile bench: os.File and ringfile on this machine</h1>
{{if .Interrupted}}<p class="note">Interrupted: this is what was measured until then.</p>{{end}}
{{range .Warnings}}<p class="note">{{.}}</p>
{{end}}<table class="about">
<tr><th class="l">processor</th><td class="l">{{.Machine.CPU}}, {{plural .Machine.Cores "core"}}, {{gib .Machine.Memory}} of memory</td></tr>
<tr><th class="l">system</th><td class="l">{{.Machine.OS}}/{{.Machine.Arch}}, kernel {{.Machine.Kernel}}</td></tr>
{{range .Volumes}}<tr><th class="l">{{.Name}}</th><td class="l">{{.Type}} on {{.Device}} ({{.Options}}), file of {{gib .Size}}{{if .Note}}; {{.Note}}{{end}}</td></tr>
{{end}}<tr><th class="l">ringfile</th><td class="l">{{.Machine.Version}}, backend {{.Machine.Backend}}</td></tr>
<tr><th class="l">Go</th><td class="l">{{.Machine.Go}}</td></tr>
{{if .FioVersion}}<tr><th class="l">fio</th><td class="l">{{.FioVersion}}</td></tr>{{end}}
<tr><th class="l">command</th><td class="l"><code>{{.Command}}</code></td></tr>
<tr><th class="l">date</th><td class="l">{{.Date.Format "2006-01-02 15:04 MST"}}; {{plural .Reps "repetition"}} of {{.Piece}}, took {{.Took.Round 1000000000}}</td></tr>
</table>
{{if .Results}}<h2>In words</h2>
{{range .Verdicts}}<h3>{{.Title}}: {{plural .Cells "cell"}}</h3>
{{if .Lines}}<ul>{{range .Lines}}<li>{{.}}</li>
{{end}}</ul>{{end}}
{{end}}{{if .Failed}}<p class="note"><b>One of the two could not: {{len .Failed}}.</b> {{range $i, $r := .Failed}}{{if $i}}; {{end}}{{$r.Volume}} {{$r.Name}}: {{if $r.OS.Error}}os.File: {{$r.OS.Error}} {{end}}{{if $r.Ring.Error}}ringfile: {{$r.Ring.Error}}{{end}}{{end}}</p>{{end}}
{{if .Doubted}}<p class="note"><b>The routes are not the expected ones in {{plural (len .Doubted) "cell"}}</b>; see the table.</p>{{end}}
{{end}}
{{range .Images}}{{if .Main}}{{.SVG}}{{else}}<details><summary>{{.Title}}</summary>{{.SVG}}</details>{{end}}
{{end}}
{{if .Fio}}<h2>fio</h2><div class="wide"><table>
<tr><th class="l">volume</th><th class="l">work</th><th>depth</th><th class="l">contestant</th><th>op/s</th><th>MB/s</th><th>p50</th><th>p99</th><th>p99.9</th><th>queue</th><th>CPU µs/op</th><th>threads</th><th class="l">routes</th></tr>
{{range $r := .Fio}}{{range $s := fiosides $r}}<tr><td class="l">{{$r.Volume}}</td><td class="l">{{$r.Cell.Title}}</td><td>{{$r.Depth}}</td><td class="l">{{$s.Name}}</td>{{if $s.Error}}<td colspan="9" class="l note">{{$s.Error}}</td>{{else}}<td>{{count $s.Median.OpsPerSecond}}</td><td>{{mb $s $r.Block}}</td><td>{{duration $s.Median.P50}}</td><td>{{duration $s.Median.P99}}</td><td>{{duration $s.Median.P999}}</td><td>{{queue $r.Cell $s}}</td><td>{{f "%.1f" $s.Median.CPUMicros}}</td><td>{{$s.Median.Threads}}</td><td class="l">{{$s.Route}}</td>{{end}}</tr>
{{end}}{{with $r.ToFioText}}<tr><td colspan="13" class="l">{{.}}</td></tr>{{end}}{{with $r.Disturbance}}<tr><td colspan="13" class="l note">{{.}}</td></tr>{{end}}{{end}}</table></div>{{end}}
{{if .Results}}<h2>All numbers</h2>
<div class="wide"><table>
<tr><th class="l">volume</th><th class="l">work</th><th class="l">mode</th><th>goroutines</th><th class="l">with</th><th>ratio</th><th>op/s</th><th>MB/s</th><th>p50</th><th>p99</th><th>p99.9</th><th>queue</th><th>CPU µs/op</th><th>threads</th><th>io-wq</th><th>allocs/op</th><th class="l">routes</th></tr>
{{range .Results}}{{$r := ptr .}}{{if not $r.Skipped}}{{range $i, $s := sides $r}}<tr class="{{$r.Verdict}}"><td class="l">{{$r.Volume}}</td><td class="l">{{$r.Cell.Title}}</td><td class="l">{{$r.Cell.Mode.Title}}</td><td>{{$r.Cell.Goroutines}}</td><td class="l">{{$s.Name}}</td><td class="r">{{if and $i $r.Ratio}}{{f "%.2f" $r.Ratio}}{{end}}</td>{{if $s.Error}}<td colspan="11" class="l note">{{$s.Error}}</td>{{else}}<td>{{count $s.Median.OpsPerSecond}}</td><td>{{mb $s $r.Cell.Block}}</td><td>{{duration $s.Median.P50}}</td><td>{{duration $s.Median.P99}}</td><td>{{duration $s.Median.P999}}</td><td>{{queue $r.Cell $s}}</td><td>{{f "%.2f" $s.Median.CPUMicros}}</td><td>{{$s.Median.Threads}}</td><td>{{$s.Median.Workers}}</td><td>{{f "%.2f" $s.Median.AllocsPerOp}}</td><td class="l">{{$s.Route}}</td>{{end}}</tr>
{{end}}{{with $r.BesideText}}<tr><td colspan="17" class="l">{{.}}</td></tr>{{end}}{{range $r.Doubts}}<tr><td colspan="17" class="l note">{{.}}</td></tr>{{end}}{{with $r.Disturbance}}<tr><td colspan="17" class="l note">{{.}}</td></tr>{{end}}{{end}}{{end}}</table></div>
<h2>Not measured</h2>
<p>Skipped here: {{plural .Skipped "cell"}}.</p><ul>
{{range .Results}}{{if .Skipped}}<li>{{.Volume}} {{.Name}}: {{.Skipped}}</li>{{end}}{{end}}</ul>
<p>The matrix leaves out:</p><ul>{{range .Left}}<li>{{.}}</li>{{end}}</ul>{{end}}
<h2>Terms</h2>
<dl>
<dt>cell</dt><dd>One kind of work, on data in one state, with one number of goroutines: a line of the table for each of the two.</dd>
<dt>ratio</dt><dd>The rate of ringfile divided by that of os.File: above 1, ringfile is faster. It is the median of the ratios of neighbouring pieces.</dd>
<dt>faster, slower</dt><dd>The ratio is 5 % off 1 or more, and all repetitions agree in which direction. What is neither is equal, or differs by no more than pieces differ from one another.</dd>
<dt>piece, repetition</dt><dd>A piece is a short time in which one of the two is measured; a repetition is a piece of each.</dd>
<dt>O_DIRECT</dt><dd>Past the page cache: each transfer is one of the device.</dd>
<dt>in page cache</dt><dd>128 MiB of the file, read before.</dd>
<dt>cold</dt><dd>Through the page cache, which does not have the data: evicted before each piece of each side, with the clock stopped; no block is read twice in a piece, which ends early when all have been. Where the kernel tells (cachestat, Linux 6.5), that was checked, too.</dd>
<dt>op/s, MB/s</dt><dd>Operations per second, and what they transferred, in millions of bytes.</dd>
<dt>p50, p99, p99.9</dt><dd>Latency that half of the operations, 99 % and 99.9 % stayed below: from when a goroutine begins an operation to when it goes on; for its first, from when all were let go, so that waiting for a thread or a processor counts.</dd>
<dt>queue</dt><dd>The goroutines divided by the rate: how long an operation takes on average, and each of them in a queue that serves them in order. A 99th percentile far above it says that some overtake others.</dd>
<dt>CPU µs/op</dt><dd>User and system time of the process by getrusage, kernel workers (io-wq) among its threads included; what the kernel does in interrupts and for block devices belongs to nobody. In the cells with work between the transfers it contains that work, as it does what goes on beside.</dd>
<dt>beside</dt><dd>What the same process does meanwhile, with the same implementation: its progress is reported as well, and a cell in which that is slower each time is not faster.</dd>
<dt>threads, io-wq</dt><dd>The peak of the process, the runtime's own included, and the kernel workers among them. With 10,000 goroutines the limit of 10,000 threads, at which a Go program ends itself, was raised to 20,000.</dd>
<dt>allocs/op</dt><dd>Allocations of memory by Go per operation.</dd>
<dt>routes</dt><dd>ring: handed to the kernel through io_uring; cache: served from the page cache by preadv2(RWF_NOWAIT); blocking: an ordinary system call. An operation that continues on another route counts on each.</dd>
<dt>something else</dt><dd>Processor time of the machine (/proc/stat) that was not the measured process's: other programs, threads of the kernel, some of which work for the disk, and what a hypervisor gave to others. Known on Linux only.</dd>
</dl>
<h2>How</h2>
<ul>
<li>os.File and ringfile are measured in processes of their own, new ones for each cell, which take turns on the same file; who goes first alternates.</li>
<li>What has been written is synced before the next piece, with the clock stopped.</li>
</ul></body></html>
`))
