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
	data := struct {
		*Report
		Slower, Equal, Faster, Failed, Doubted []*Result
		Skipped                                int
		Left                                   []string
		Images                                 []picture
	}{r, slower, equal, faster, failed, doubted, skipped, Left, nil}
	for _, i := range images {
		data.Images = append(data.Images, picture{i.Title, template.HTML(i.SVG), i.Main})
	}
	return page.Execute(w, data)
}

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"count":    Count,
	"duration": Duration,
	"mb":       func(s *Side, block int) string { return Megabytes(s.Median.OpsPerSecond() * float64(block)) },
	"f":        func(format string, v ...any) string { return fmt.Sprintf(format, v...) },
	"sides":    func(r *Result) []*Side { return []*Side{&r.OS, &r.Ring} },
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
<style>
body{font:15px/1.5 system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;color:#1f2933;background:#fff;max-width:1320px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em}
table{border-collapse:collapse;font-size:13px;margin:1em 0}
th,td{padding:2px 9px;text-align:right;border-bottom:1px solid #e4e7eb;white-space:nowrap}
th{background:#f5f7fa}td.l,th.l{text-align:left}
tr.faster td.r{color:#0b5cad;font-weight:600}tr.slower td.r{color:#b94704;font-weight:600}
.note{color:#b94704;white-space:normal}
svg{max-width:100%;height:auto;display:block;margin:1em 0;border:1px solid #e4e7eb}
summary{cursor:pointer;padding:.3em 0}
code{background:#f5f7fa;padding:1px 4px}
</style></head><body>
<h1>ringfile bench: os.File and ringfile on this machine</h1>
{{if .Interrupted}}<p class="note">Interrupted: this is what was measured until then.</p>{{end}}
<table>
<tr><th class="l">processor</th><td class="l">{{.Machine.CPU}}, {{.Machine.Cores}} cores, {{gib .Machine.Memory}} of memory</td></tr>
<tr><th class="l">system</th><td class="l">{{.Machine.OS}}/{{.Machine.Arch}}, kernel {{.Machine.Kernel}}</td></tr>
{{range .Volumes}}<tr><th class="l">{{.Name}}</th><td class="l">{{.Type}} on {{.Device}} ({{.Options}}), file of {{gib .Size}}{{if .Note}}; {{.Note}}{{end}}</td></tr>
{{end}}<tr><th class="l">ringfile</th><td class="l">{{.Machine.Version}}, backend {{.Machine.Backend}}</td></tr>
<tr><th class="l">Go</th><td class="l">{{.Machine.Go}}</td></tr>
{{if .FioVersion}}<tr><th class="l">fio</th><td class="l">{{.FioVersion}}</td></tr>{{end}}
<tr><th class="l">command</th><td class="l"><code>{{.Command}}</code></td></tr>
<tr><th class="l">date</th><td class="l">{{.Date.Format "2006-01-02 15:04 MST"}}; {{.Reps}} repetitions of {{.Piece}}, took {{.Took.Round 1000000000}}</td></tr>
</table>
{{if .Results}}<h2>In words</h2>
<p><b>Slower than os.File: {{len .Slower}}.</b> {{range $i, $r := .Slower}}{{if $i}}; {{end}}{{$r.Volume}} {{$r.Cell.Title}}, {{$r.Cell.Mode.Title}}, {{$r.Cell.Goroutines}} goroutines ({{f "%.2f" $r.Ratio}}){{end}}</p>
<p><b>Equal, or within what varies: {{len .Equal}}.</b></p>
<p><b>Faster: {{len .Faster}}.</b> {{range $i, $r := .Faster}}{{if $i}}; {{end}}{{$r.Volume}} {{$r.Cell.Title}}, {{$r.Cell.Mode.Title}}, {{$r.Cell.Goroutines}} goroutines ({{f "%.2f" $r.Ratio}}){{end}}</p>
{{if .Failed}}<p class="note"><b>One of the two could not: {{len .Failed}}.</b> {{range $i, $r := .Failed}}{{if $i}}; {{end}}{{$r.Volume}} {{$r.Name}}: {{if $r.OS.Error}}os.File: {{$r.OS.Error}} {{end}}{{if $r.Ring.Error}}ringfile: {{$r.Ring.Error}}{{end}}{{end}}</p>{{end}}
{{if .Doubted}}<p class="note"><b>The routes are not the expected ones in {{len .Doubted}} cells</b>; see the table.</p>{{end}}
{{end}}
{{range .Images}}{{if .Main}}{{.SVG}}{{else}}<details><summary>{{.Title}}</summary>{{.SVG}}</details>{{end}}
{{end}}
{{if .Fio}}<h2>fio</h2><table>
<tr><th class="l">volume</th><th class="l">work</th><th>depth</th><th class="l">contestant</th><th>op/s</th><th>MB/s</th><th>p50</th><th>p99</th><th>p99.9</th><th>CPU µs/op</th><th>threads</th><th class="l">routes</th></tr>
{{range $r := .Fio}}{{range $s := fiosides $r}}<tr><td class="l">{{$r.Volume}}</td><td class="l">{{$r.Cell.Title}}</td><td>{{$r.Depth}}</td><td class="l">{{$s.Name}}</td>{{if $s.Error}}<td colspan="8" class="l note">{{$s.Error}}</td>{{else}}<td>{{count $s.Median.OpsPerSecond}}</td><td>{{mb $s $r.Block}}</td><td>{{duration $s.Median.P50}}</td><td>{{duration $s.Median.P99}}</td><td>{{duration $s.Median.P999}}</td><td>{{f "%.1f" $s.Median.CPUMicros}}</td><td>{{$s.Median.Threads}}</td><td class="l">{{$s.Route}}</td>{{end}}</tr>
{{end}}{{end}}</table>{{end}}
{{if .Results}}<h2>All numbers</h2>
<table>
<tr><th class="l">volume</th><th class="l">work</th><th class="l">mode</th><th>goroutines</th><th class="l">with</th><th>op/s</th><th>MB/s</th><th>p50</th><th>p99</th><th>p99.9</th><th>CPU µs/op</th><th>threads</th><th>io-wq</th><th>allocs/op</th><th class="l">routes</th><th>ratio</th></tr>
{{range .Results}}{{$r := ptr .}}{{if not $r.Skipped}}{{range $i, $s := sides $r}}<tr class="{{$r.Verdict}}"><td class="l">{{$r.Volume}}</td><td class="l">{{$r.Cell.Title}}</td><td class="l">{{$r.Cell.Mode.Title}}</td><td>{{$r.Cell.Goroutines}}</td><td class="l">{{$s.Name}}</td>{{if $s.Error}}<td colspan="10" class="l note">{{$s.Error}}</td>{{else}}<td>{{count $s.Median.OpsPerSecond}}</td><td>{{mb $s $r.Cell.Block}}</td><td>{{duration $s.Median.P50}}</td><td>{{duration $s.Median.P99}}</td><td>{{duration $s.Median.P999}}</td><td>{{f "%.2f" $s.Median.CPUMicros}}</td><td>{{$s.Median.Threads}}</td><td>{{$s.Median.Workers}}</td><td>{{f "%.2f" $s.Median.AllocsPerOp}}</td><td class="l">{{$s.Route}}</td>{{end}}<td class="r">{{if and $i $r.Ratio}}{{f "%.2f" $r.Ratio}}{{end}}</td></tr>
{{end}}{{range $r.Doubts}}<tr><td colspan="16" class="l note">{{.}}</td></tr>{{end}}{{end}}{{end}}</table>
<h2>Not measured</h2>
<p>{{.Skipped}} cells were skipped here:</p><ul>
{{range .Results}}{{if .Skipped}}<li>{{.Volume}} {{.Name}}: {{.Skipped}}</li>{{end}}{{end}}</ul>
<p>The matrix leaves out:</p><ul>{{range .Left}}<li>{{.}}</li>{{end}}</ul>{{end}}
<h2>How</h2>
<ul>
<li>os.File and ringfile are measured in processes of their own, new ones for each cell, which take turns on the same file; who goes first alternates. The ratio is the median of the ratios of neighbouring pieces. A cell counts as faster or slower if the ratio is 5 % off and all repetitions agree; with fewer than three of them that is an impression only.</li>
<li>Processor time is user and system time of the process by getrusage, kernel workers (io-wq) among its threads included; what the kernel does in interrupts and for block devices belongs to nobody. In the cells with work between the transfers it contains that work.</li>
<li>Latency is from when a goroutine begins an operation to when it goes on; for its first, from when all were let go, so that waiting for a thread or a processor counts.</li>
<li>Threads are the peak of the process, kernel workers and the runtime's own included. With 10,000 goroutines the limit of 10,000 threads, at which a Go program ends itself, was raised to 20,000.</li>
<li>In page cache: 128 MiB of the file, read before. Cold: evicted before each piece of each side, with the clock stopped; no block is read twice in a piece, which ends early when all have been. Where the kernel tells (cachestat, Linux 6.5), that was checked, too.</li>
<li>What has been written is synced before the next piece, with the clock stopped.</li>
<li>Routes: ring = handed to the kernel through io_uring, cache = served by preadv2(RWF_NOWAIT), blocking = an ordinary system call. An operation that continues on another route counts on each.</li>
</ul></body></html>
`))
