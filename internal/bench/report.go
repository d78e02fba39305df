package bench

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// Machine is what the numbers were measured on.
type Machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Memory  int64  `json:"memory_bytes"`
	Kernel  string `json:"kernel"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Version string `json:"ringfile"`
	Backend string `json:"backend"` // that a ringfile program gets here, and why if it is not uring
}

// Volume is a place that was measured.
type Volume struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Device  string `json:"device"`
	Options string `json:"options"`
	Size    int64  `json:"file_bytes"` // of the large file
	Note    string `json:"note,omitempty"`
}

// Report is what a run found out.
type Report struct {
	Machine     Machine       `json:"machine"`
	Command     string        `json:"command"`
	Date        time.Time     `json:"date"`
	Took        time.Duration `json:"took_ns"`
	Reps        int           `json:"repetitions"`
	Piece       time.Duration `json:"piece_ns"`
	Interrupted bool          `json:"interrupted,omitempty"`
	Volumes     []Volume      `json:"volumes"`
	Results     []Result      `json:"results,omitempty"`
	Fio         []FioResult   `json:"fio,omitempty"`
	FioVersion  string        `json:"fio_version,omitempty"`
}

// Warnings says what speaks against believing the report as a whole.
func (r *Report) Warnings() (list []string) {
	if n, of := r.disturbed(); n > 0 {
		list = append(list, fmt.Sprintf("Warning: this machine did something else meanwhile. In %d of %s that took a tenth of its "+
			"processors or more; those numbers are in doubt. Measure again when the machine is quiet.", n, Plural(of, "cell")))
	}
	switch {
	case r.Reps < 3:
		list = append(list, fmt.Sprintf("With %s these are impressions only; use --reps 5 or more.", Plural(r.Reps, "repetition")))
	case r.Reps < 5:
		list = append(list, fmt.Sprintf("With %d repetitions, all of them agree by chance in one of %d cells without a difference; "+
			"use --reps 5 or more where much depends on it.", r.Reps, 1<<(r.Reps-1)))
	}
	return list
}

// disturbed counts the cells that were measured while the machine did something else.
func (r *Report) disturbed() (n, of int) {
	count := func(skipped bool, disturbance string) {
		if !skipped {
			of++
		}
		if disturbance != "" {
			n++
		}
	}
	for i := range r.Results {
		count(r.Results[i].Skipped != "", r.Results[i].Disturbance)
	}
	for i := range r.Fio {
		count(false, r.Fio[i].Disturbance)
	}
	return n, of
}

// Plural returns n with the word for what is counted.
func Plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// WriteJSON writes the whole report.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

var csvHeader = []string{"volume", "op", "mode", "block", "goroutines", "compute_us", "beside", "devices", "contestant",
	"ops_per_s", "mb_per_s", "p50_us", "p99_us", "p999_us", "queue_us", "cpu_us_per_op", "threads", "workers",
	"allocs_per_op", "route_cached", "route_ring", "route_blocking", "ops", "beside_per_s", "ratio", "beside_ratio", "verdict", "note"}

// WriteCSV writes the medians, a line for each cell and contestant.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	ratioText := func(r float64) string {
		if r <= 0 {
			return ""
		}
		return strconv.FormatFloat(r, 'f', 3, 64)
	}
	line := func(volume, op string, c Cell, s *Side, ratio, beside float64, verdict, note string) {
		num := func(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
		us := func(d time.Duration) string { return num(float64(d) / 1e3) }
		m := s.Median
		row := []string{volume, op, string(c.Mode), strconv.Itoa(c.Block), strconv.Itoa(c.Goroutines), us(c.Compute),
			string(c.Beside), strconv.Itoa(c.Devices), s.Name}
		if len(s.Samples) == 0 {
			row = append(row, make([]string, 15)...)
		} else {
			row = append(row, num(m.OpsPerSecond()), num(m.OpsPerSecond()*float64(c.Block)/1e6),
				us(m.P50), us(m.P99), us(m.P999), us(c.Queue(s)), num(m.CPUMicros), strconv.Itoa(m.Threads),
				strconv.Itoa(m.Workers), num(m.AllocsPerOp), fmt.Sprint(m.Routes.Cached),
				fmt.Sprint(m.Routes.Ring), fmt.Sprint(m.Routes.Blocking), strconv.Itoa(s.Ops), num(m.Beside))
		}
		out.Write(append(row, ratioText(ratio), ratioText(beside), verdict, note))
	}
	for i := range r.Results {
		res := &r.Results[i]
		c := res.Cell
		for _, s := range res.Sides() {
			note := res.Skipped
			if note == "" {
				note = res.Disturbance
			}
			if s.Error != "" {
				note = s.Error
			}
			line(res.Volume, string(c.Op), c, s, res.Ratio, res.BesideRatio, string(res.Verdict), note)
		}
	}
	for i := range r.Fio {
		f := &r.Fio[i]
		for j := range f.Sides {
			note := f.Disturbance
			if f.Sides[j].Error != "" {
				note = f.Sides[j].Error
			}
			line(f.Volume, f.RW, f.Cell(), &f.Sides[j], 0, 0, "", note)
		}
	}
	out.Flush()
	return out.Error()
}

// Queue returns how long an operation of the side takes on average, the goroutines divided by the rate: what each would
// take in a queue that serves them in order. It is zero where goroutines do something else in between.
func (c Cell) Queue(s *Side) time.Duration {
	rate := s.Median.OpsPerSecond()
	if rate == 0 || c.Compute > 0 {
		return 0
	}
	return time.Duration(float64(c.Goroutines) / rate * 1e9)
}

// AgainstOther returns the geometric mean of the ratios of ringfile's rates to those of the other build, of how many cells
// that is, and the means of the rows that are below 0.95, the smallest first.
func (r *Report) AgainstOther() (mean float64, n int, below []string) {
	type sum struct {
		logs float64
		n    int
	}
	var all sum
	rows := map[string]*sum{}
	for i := range r.Results {
		res := &r.Results[i]
		if res.ToOther <= 0 {
			continue
		}
		name := res.Volume + ": " + res.Cell.Title() + ", " + res.Cell.Mode.Title()
		if rows[name] == nil {
			rows[name] = new(sum)
		}
		for _, s := range []*sum{&all, rows[name]} {
			s.logs += math.Log(res.ToOther)
			s.n++
		}
	}
	value := func(s *sum) float64 { return math.Exp(s.logs / float64(max(s.n, 1))) }
	for name, s := range rows {
		if v := value(s); v < 0.95 {
			below = append(below, fmt.Sprintf("%.2f  %s", v, name))
		}
	}
	slices.Sort(below)
	return value(&all), all.n, below
}

// Duration returns d with three digits.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2fµs", float64(d)/1e3)
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%.1fµs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0fµs", float64(d)/1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", float64(d)/1e6)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// Count returns n with three digits and a unit.
func Count(f float64) string {
	switch {
	case f >= 999.5e6:
		return fmt.Sprintf("%.3gG", f/1e9)
	case f >= 99.95e6:
		return fmt.Sprintf("%.0fM", f/1e6)
	case f >= 999.5e3:
		return fmt.Sprintf("%.3gM", f/1e6)
	case f >= 99.95e3:
		return fmt.Sprintf("%.0fk", f/1e3)
	case f >= 999.5:
		return fmt.Sprintf("%.3gk", f/1e3)
	}
	return fmt.Sprintf("%.3g", f)
}

// Megabytes returns a number of bytes in MB, without the unit.
func Megabytes(n float64) string {
	if n < 99.5e6 {
		return fmt.Sprintf("%.3g", n/1e6)
	}
	return fmt.Sprintf("%.0f", n/1e6)
}

// Route says in short which way the operations of a side went.
func (s *Side) Route() string {
	cached, ring, blocking := s.Share()
	text := ""
	add := func(name string, percent float64) {
		if percent < 0.5 {
			return
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %.0f%%", name, percent)
	}
	add("ring", ring)
	add("cache", cached)
	add("blocking", blocking)
	return text
}

// Summary counts the verdicts and names the cells of each, slower ones first.
func (r *Report) Summary() (slower, equal, faster, failed, doubted []*Result, skipped int) {
	for i := range r.Results {
		res := &r.Results[i]
		if len(res.Doubts) > 0 {
			doubted = append(doubted, res)
		}
		switch {
		case res.Skipped != "":
			skipped++
		case res.Failed():
			failed = append(failed, res)
		case res.Verdict == Slower:
			slower = append(slower, res)
		case res.Verdict == Faster:
			faster = append(faster, res)
		case res.Verdict == Equal:
			equal = append(equal, res)
		}
	}
	return
}
