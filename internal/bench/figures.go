package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Colours of the contestants.
var colors = map[string]string{
	NameOS:         "#8a94a3",
	NameRing:       "#0b5cad",
	"fio io_uring": "#e8730c",
	"fio libaio":   "#f2b33d",
	"fio psync":    "#7a5c9e",
}

// Image is a picture of the report.
type Image struct {
	File  string // its name, with .svg
	Title string
	SVG   string
	Main  bool // shown without being asked for
}

// Images draws everything that the report has numbers for.
func (r *Report) Images() (images []Image) {
	where := fmt.Sprintf("%s, %s, Linux %s", r.Machine.CPU, Plural(r.Machine.Cores, "core"), r.Machine.Kernel)
	if r.Machine.OS != "linux" {
		where = fmt.Sprintf("%s, %s, %s", r.Machine.CPU, Plural(r.Machine.Cores, "core"), r.Machine.OS)
	}
	for _, v := range r.Volumes {
		var of []*Result
		for i := range r.Results {
			if r.Results[i].Volume == v.Name {
				of = append(of, &r.Results[i])
			}
		}
		if len(of) > 0 {
			m := ratioMap(v.Name, where, of)
			images = append(images, Image{m.File + ".svg", m.Title, m.SVG(), true})
			images = append(images, overview(v.Name, where, of)...)
			images = append(images, details(v.Name, where, of)...)
		}
		var fio []*FioResult
		for i := range r.Fio {
			if r.Fio[i].Volume == v.Name {
				fio = append(fio, &r.Fio[i])
			}
		}
		images = append(images, fioImages(v.Name, where, fio)...)
	}
	return images
}

// ratioMap shows how much faster ringfile is, everywhere.
func ratioMap(volume, where string, results []*Result) *Map {
	m := &Map{
		File:        volume + "-ratio",
		Title:       "Throughput of ringfile, os.File = 1, on " + volume,
		Subtitle:    where + "; median of the ratios of neighbouring pieces; † one of them could not, ? in doubt",
		ColumnLabel: "goroutines",
	}
	goroutines := unique(results, func(r *Result) int { return r.Cell.Goroutines })
	slices.Sort(goroutines)
	for _, g := range goroutines {
		m.Columns = append(m.Columns, strconv.Itoa(g))
	}
	for _, mode := range []Mode{Direct, Cached, Cold} {
		group := MapGroup{Title: mode.Title()}
		for _, k := range unique(results, (*Result).row) {
			if row, any := mapRow(k, mode, goroutines, results); any {
				group.Rows = append(group.Rows, row)
			}
		}
		if len(group.Rows) > 0 {
			m.Groups = append(m.Groups, group)
		}
	}
	return m
}

func mapRow(k rowKey, mode Mode, goroutines []int, results []*Result) (row MapRow, any bool) {
	row.Title = k.title()
	for _, g := range goroutines {
		ratio, mark := math.NaN(), ""
		for _, r := range results {
			if r.row() != k || r.Cell.Mode != mode || r.Cell.Goroutines != g || r.Skipped != "" {
				continue
			}
			any = true
			if r.Ratio > 0 {
				ratio = r.Ratio
			}
			switch {
			case r.Failed():
				mark = "†"
			case len(r.Doubts) > 0, r.Disturbance != "":
				mark = "?"
			}
		}
		row.Ratios, row.Marks = append(row.Ratios, ratio), append(row.Marks, mark)
	}
	return row, any
}

// rowKey is what stands in one row of the map, or in one panel.
type rowKey struct {
	op      Op
	block   int
	compute time.Duration
	beside  Beside
	devices int
}

func (r *Result) row() rowKey {
	return rowKey{r.Cell.Op, r.Cell.Block, r.Cell.Compute, r.Cell.Beside, r.Cell.Devices}
}

func (k rowKey) title() string {
	return Cell{Op: k.op, Block: k.block, Compute: k.compute, Beside: k.beside, Devices: k.devices}.Title()
}

// aspects are the numbers that have a chart.
// aspect is a number of a side that is drawn.
type aspect struct {
	name, title, unit string
	log               bool
	value             func(s *Side) float64
	format            func(float64) string
}

var aspects = []aspect{
	{"throughput", "Operations per second", "operations/s", false,
		func(s *Side) float64 { return s.Median.OpsPerSecond() }, Count},
	{"p99", "99th percentile of latency", "p99 latency", true,
		func(s *Side) float64 { return float64(s.Median.P99) / 1e9 }, seconds},
	{"cpu", "Processor time per operation", "CPU µs/operation", false,
		func(s *Side) float64 { return s.Median.CPUMicros }, Count},
	{"threads", "Peak of OS threads", "threads", true,
		func(s *Side) float64 { return float64(s.Median.Threads) }, Count},
}

// seconds formats a time on an axis.
func seconds(s float64) string {
	switch {
	case s >= 0.9995:
		return fmt.Sprintf("%.3gs", s)
	case s >= 0.9995e-3:
		return fmt.Sprintf("%.3gms", s*1e3)
	}
	return fmt.Sprintf("%.3gµs", s*1e6)
}

// overview is one image of what the package is for: what becomes of latency and threads as there are more goroutines that
// read at random with O_DIRECT. Nil if that was not measured.
func overview(volume, where string, results []*Result) (images []Image) {
	f := &Figure{File: volume + "-overview", Title: "Random 4 KiB reads, O_DIRECT", Subtitle: where + "; medians",
		Legend: []Key{{NameOS, colors[NameOS]}, {NameRing, colors[NameRing]}}}
	of := slices.DeleteFunc(slices.Clone(results), func(r *Result) bool {
		return r.row() != (rowKey{op: RandRead, block: 4 << 10}) || r.Cell.Mode != Direct || r.Skipped != ""
	})
	if len(of) < 3 {
		return nil
	}
	for _, a := range aspects {
		if a.name != "threads" && a.name != "p99" {
			continue
		}
		f.Panels = append(f.Panels, panel(a.title, a, of))
	}
	return []Image{{f.File + ".svg", f.Title, f.SVG(), false}}
}

// panel draws an aspect of results, which differ in the number of goroutines only, for both sides.
func panel(title string, a aspect, results []*Result) Panel {
	p := Panel{Title: title, XLabel: "goroutines", YLabel: a.unit, Log: a.log, Format: a.format,
		Lines: []Line{{Color: colors[NameOS]}, {Color: colors[NameRing]}}}
	for _, r := range results {
		p.X = append(p.X, shortNumber(r.Cell.Goroutines))
		for i, s := range []*Side{&r.OS, &r.Ring} {
			p.Lines[i].Y = append(p.Lines[i].Y, number(s, a.value))
		}
	}
	return p
}

// details are the charts with both lines: one image for each mode and number.
func details(volume, where string, results []*Result) (images []Image) {
	for _, mode := range []Mode{Direct, Cached, Cold} {
		for _, a := range aspects {
			f := &Figure{
				File:     fmt.Sprintf("%s-%s-%s", volume, mode, a.name),
				Title:    fmt.Sprintf("%s: %s, on %s", a.title, mode.Title(), volume),
				Subtitle: where + "; medians",
				Legend:   []Key{{NameOS, colors[NameOS]}, {NameRing, colors[NameRing]}},
			}
			for _, k := range unique(results, (*Result).row) {
				of := slices.DeleteFunc(slices.Clone(results), func(r *Result) bool {
					return r.row() != k || r.Cell.Mode != mode || r.Skipped != ""
				})
				if len(of) > 0 {
					f.Panels = append(f.Panels, panel(k.title(), a, of))
				}
			}
			if len(f.Panels) > 0 {
				images = append(images, Image{f.File + ".svg", f.Title, f.SVG(), false})
			}
		}
	}
	return images
}

// shortNumber is exact up to where Count is short and exact for round numbers.
func shortNumber(n int) string {
	if n < 10_000 {
		return strconv.Itoa(n)
	}
	return Count(float64(n))
}

// number is a value of a side that has any.
func number(s *Side, value func(*Side) float64) float64 {
	if s == nil || len(s.Samples) == 0 {
		return math.NaN()
	}
	return value(s)
}

// fioImages are three charts of the mix, one for each block size, and one of small reads.
func fioImages(volume, where string, results []*FioResult) (images []Image) {
	for _, block := range unique(results, func(r *FioResult) int { return r.Block }) {
		var of []*FioResult
		for _, r := range results {
			if r.Block == block {
				of = append(of, r)
			}
		}
		first := of[0]
		f := &Figure{File: fmt.Sprintf("%s-fio-%s-%s", volume, first.RW, Size(block)), Subtitle: where + "; medians"}
		panels := []string{"throughput", "p99", "cpu"}
		if first.RW == "randread" {
			f.Title = fmt.Sprintf("fio and Go: random reads of %s, O_DIRECT, on %s", sizeTitle(block), volume)
			f.Subtitle += "; fio: io_uring, one thread"
		} else {
			f.Title = fmt.Sprintf("fio and Go: 75/25 random read/write mix of %s, O_DIRECT, on %s", sizeTitle(block), volume)
			f.Subtitle += "; fio: one thread, for psync as many as the depth; its p99 is of the reads"
		}
		for _, s := range first.Sides {
			f.Legend = append(f.Legend, Key{s.Name, colors[s.Name]})
		}
		for _, a := range aspects {
			if !slices.Contains(panels, a.name) {
				continue
			}
			p := Panel{Title: a.title, XLabel: "depth: requests in flight, or goroutines", YLabel: a.unit,
				Format: a.format, Bars: true}
			for _, s := range first.Sides {
				p.Lines = append(p.Lines, Line{Color: colors[s.Name]})
			}
			for _, r := range of {
				p.X = append(p.X, strconv.Itoa(r.Depth))
				for i, s := range first.Sides {
					p.Lines[i].Y = append(p.Lines[i].Y, number(r.Side(s.Name), a.value))
				}
			}
			f.Panels = append(f.Panels, p)
		}
		images = append(images, Image{f.File + ".svg", f.Title, f.SVG(), true})
	}
	return images
}
