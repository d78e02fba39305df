package bench

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Figure is a chart, or several of the same kind side by side, as an SVG image.
type Figure struct {
	File     string // its name, without .svg
	Title    string
	Subtitle string
	Legend   []Key
	Panels   []Panel
}

// Key explains a colour.
type Key struct{ Name, Color string }

// Panel is one pair of axes.
type Panel struct {
	Title  string
	XLabel string
	YLabel string
	X      []string // labels of the places on the x axis
	Lines  []Line
	Bars   bool // bars instead of lines
	Log    bool // the y axis
	Format func(float64) string
}

// Line is a series of values, NaN where there is none.
type Line struct {
	Color string
	Y     []float64
}

const (
	panelWidth, panelHeight = 300, 210
	plotLeft, plotTop       = 54, 30
	plotRight, plotBottom   = 12, 40
	headHeight              = 78
	gap                     = 12
	font                    = `font-family="system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"`
	ink, faint, grid        = "#1f2933", "#52606d", "#e4e7eb"
	paper, noCell           = "#ffffff", "#f5f7fa"
)

// darkStyle turns the colours around for who prefers dark pages, by the light ones that stand in the
// elements: those of paper and ink, and of the contestants that would be too dark. The cells of a Map
// keep theirs, which say how large a ratio is, and the ink on them.
const darkStyle = `@media (prefers-color-scheme:dark){` +
	`rect[fill="` + paper + `"]{fill:#14181d}rect[fill="` + noCell + `"]{fill:#1e242b}rect[stroke="` + paper + `"]{stroke:#14181d}` +
	`text[fill="` + ink + `"]:not(.cell){fill:#dde3ea}text[fill="` + faint + `"]{fill:#a3aebb}` +
	`line[stroke="` + grid + `"]{stroke:#333b45}line[stroke="` + faint + `"]{stroke:#a3aebb}` +
	`[fill="#0b5cad"]:not([stroke]){fill:#4c9be8}path[stroke="#0b5cad"]{stroke:#4c9be8}` +
	`[fill="#7a5c9e"]{fill:#a98bd0}}`

// svgText collects an image.
type svgText struct{ strings.Builder }

func (w *svgText) f(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *svgText) open(width, height float64, title string) {
	w.f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" %s role="img">`,
		width, height, width, height, font)
	w.f(`<title>%s</title>`, escape(title))
	w.f(`<style>%s</style>`, darkStyle)
	w.f(`<rect width="%.0f" height="%.0f" fill="%s"/>`, width, height, paper)
}

// text writes s at x, y; anchor is start, middle or end.
func (w *svgText) text(x, y float64, size float64, color, anchor, s string, more ...string) {
	w.f(`<text x="%.1f" y="%.1f" font-size="%g" fill="%s" text-anchor="%s"%s>%s</text>`,
		x, y, size, color, anchor, strings.Join(append([]string{""}, more...), " "), escape(s))
}

func (w *svgText) line(x1, y1, x2, y2 float64, color string, width float64) {
	w.f(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`, x1, y1, x2, y2, color, width)
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

// heading writes title, subtitle and legend.
func (w *svgText) heading(title, subtitle string, keys []Key) {
	w.text(16, 26, 17, ink, "start", title, `font-weight="600"`)
	w.text(16, 45, 11.5, faint, "start", subtitle)
	x := 16.0
	for _, k := range keys {
		w.f(`<rect x="%.1f" y="55" width="12" height="12" rx="2" fill="%s"/>`, x, k.Color)
		w.text(x+17, 65.5, 12, ink, "start", k.Name)
		x += 17 + float64(len([]rune(k.Name)))*7 + 22
	}
}

// SVG draws the figure.
func (f *Figure) SVG() string {
	cols := max(min(len(f.Panels), 4), 1)
	if n := len(f.Panels); n == 5 || n == 6 || n == 9 {
		cols = 3 // leaves less empty
	}
	rows := (len(f.Panels) + cols - 1) / cols
	width := float64(max(cols*(panelWidth+gap)+gap, 16+f.headWidth()))
	var w svgText
	w.open(width, float64(headHeight+rows*(panelHeight+gap)), f.Title)
	w.heading(f.Title, f.Subtitle, f.Legend)
	for i, p := range f.Panels {
		x, y := gap+i%cols*(panelWidth+gap), headHeight+i/cols*(panelHeight+gap)
		w.f(`<g transform="translate(%d %d)">`, x, y)
		p.draw(&w)
		w.f(`</g>`)
	}
	w.f(`</svg>`)
	return w.String()
}

// headWidth estimates how wide title and subtitle are.
func (f *Figure) headWidth() int {
	return max(len([]rune(f.Title))*10, len([]rune(f.Subtitle))*6) + 16
}

func (p *Panel) draw(w *svgText) {
	const plotW, plotH = panelWidth - plotLeft - plotRight, panelHeight - plotTop - plotBottom
	bottom := float64(plotTop + plotH)
	w.text(plotLeft, 17, 12, ink, "start", p.Title, `font-weight="600"`)
	low, high, ticks := p.scale()
	y := func(v float64) float64 {
		t := (v - low) / (high - low)
		if p.Log {
			t = math.Log(v/low) / math.Log(high/low)
		}
		return bottom - t*plotH
	}
	for _, t := range ticks {
		w.line(plotLeft, y(t), plotLeft+plotW, y(t), grid, 1)
		w.text(plotLeft-6, y(t)+3.5, 10, faint, "end", p.Format(t))
	}
	w.line(plotLeft, bottom, plotLeft+plotW, bottom, faint, 1)
	w.text(plotLeft+plotW/2.0, panelHeight-5, 10.5, faint, "middle", p.XLabel)
	w.text(0, 0, 10.5, faint, "middle", p.YLabel,
		fmt.Sprintf(`transform="translate(11 %.1f) rotate(-90)"`, plotTop+plotH/2.0))
	step := plotW / float64(max(len(p.X), 1))
	x := func(i int) float64 { return plotLeft + (float64(i)+0.5)*step }
	for i, label := range p.X {
		w.text(x(i), bottom+14, 10, faint, "middle", label)
	}
	if p.Bars {
		p.bars(w, x, y, step, bottom)
		return
	}
	for _, l := range p.Lines {
		path, pen := "", "M"
		for i, v := range l.Y {
			if math.IsNaN(v) || p.Log && v <= 0 {
				pen = "M"
				continue
			}
			path += fmt.Sprintf("%s%.1f %.1f ", pen, x(i), y(v))
			pen = "L"
			w.f(`<circle cx="%.1f" cy="%.1f" r="2.8" fill="%s"><title>%s: %s</title></circle>`,
				x(i), y(v), l.Color, escape(p.X[i]), escape(p.Format(v)))
		}
		if path != "" {
			w.f(`<path d="%s" fill="none" stroke="%s" stroke-width="1.8"/>`, strings.TrimSpace(path), l.Color)
		}
	}
}

func (p *Panel) bars(w *svgText, x func(int) float64, y func(float64) float64, step, bottom float64) {
	width := step * 0.84 / float64(max(len(p.Lines), 1))
	for k, l := range p.Lines {
		for i, v := range l.Y {
			if math.IsNaN(v) {
				continue
			}
			left := x(i) - step*0.42 + float64(k)*width
			w.f(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`,
				left, y(v), width*0.92, max(bottom-y(v), 0), l.Color, escape(p.Format(v)))
			w.text(0, 0, 8.5, ink, "start", p.Format(v),
				fmt.Sprintf(`transform="translate(%.1f %.1f) rotate(-90)"`, left+width*0.46+3, y(v)-4))
		}
	}
}

// scale returns the ends of the y axis and what is marked on it.
func (p *Panel) scale() (low, high float64, ticks []float64) {
	low, high = math.Inf(1), 0
	for _, l := range p.Lines {
		for _, v := range l.Y {
			if !math.IsNaN(v) && (!p.Log || v > 0) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		low, high = 0, 1
	}
	if p.Bars {
		high *= 1.2 // room for what is written above them
	}
	if !p.Log || low <= 0 {
		p.Log = false
		step := niceStep(high / 4)
		for t := 0.0; ; t += step {
			ticks = append(ticks, t)
			if t >= high*0.999 {
				return 0, t, ticks
			}
		}
	}
	return logScale(low, high)
}

func logScale(low, high float64) (float64, float64, []float64) {
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high*1.0001))
	every := math.Ceil((last - first) / 5)
	var ticks []float64
	for e := first; e <= last+every-1; e += every {
		ticks = append(ticks, math.Pow(10, e))
	}
	low, high = ticks[0], max(ticks[len(ticks)-1], high)
	return low, high, ticks
}

// niceStep returns the least of 1, 2, 5, 10, ... that is not below s.
func niceStep(s float64) float64 {
	if s <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(s)))
	for _, m := range []float64{1, 2, 5} {
		if m*base >= s*0.999 {
			return m * base
		}
	}
	return 10 * base
}

// Map is a table of ratios in colours.
type Map struct {
	File, Title, Subtitle string
	Groups                []MapGroup // one below the other
	Columns               []string
	ColumnLabel           string
}

// MapGroup is a part of a Map with a heading.
type MapGroup struct {
	Title string
	Rows  []MapRow
}

// MapRow has a ratio for each column: NaN for none. Marks says more, such as that a cell failed.
type MapRow struct {
	Title  string
	Ratios []float64
	Marks  []string
}

// SVG draws the map.
func (m *Map) SVG() string {
	const left, cellW, cellH = 270, 72, 24
	width := float64(max(left+len(m.Columns)*cellW+24, 40+len([]rune(m.Subtitle))*6))
	height := float64(headHeight + 30)
	for _, g := range m.Groups {
		height += float64(30 + len(g.Rows)*cellH)
	}
	var w svgText
	w.open(width, height, m.Title)
	w.heading(m.Title, m.Subtitle, []Key{
		{"ringfile faster", shade(2)}, {"within 5 %", shade(1)}, {"os.File faster", shade(0.5)}})
	y := float64(headHeight + 14)
	for i, c := range m.Columns {
		w.text(left+(float64(i)+0.5)*cellW, y, 11.5, ink, "middle", c, `font-weight="600"`)
	}
	w.text(left-10, y, 11, faint, "end", m.ColumnLabel)
	y += 8
	for _, g := range m.Groups {
		w.text(16, y+17, 12.5, ink, "start", g.Title, `font-weight="600"`)
		y += 24
		for _, r := range g.Rows {
			w.text(left-10, y+16, 11.5, ink, "end", r.Title)
			for i := range m.Columns {
				r.cell(&w, i, left+float64(i)*cellW, y, cellW, cellH)
			}
			y += cellH
		}
		y += 6
	}
	w.f(`</svg>`)
	return w.String()
}

func (r *MapRow) cell(w *svgText, i int, x, y, width, height float64) {
	v, fill, color, text := r.Ratios[i], noCell, faint, "–"
	if !math.IsNaN(v) {
		fill, color, text = shade(v), ink, fmt.Sprintf("%.2f", v)
		if v >= 10 {
			text = fmt.Sprintf("%.0f", v)
		}
		if v > 2.6 || v < 0.4 {
			color = paper
		}
	}
	if r.Marks[i] != "" {
		text = strings.TrimPrefix(text+" "+r.Marks[i], "– ")
	}
	w.f(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="%s"/>`, x, y, width, height, fill, paper)
	w.text(x+width/2, y+height/2+4, 11.5, color, "middle", text, `class="cell"`)
}

// shade returns the colour of a ratio: blue above 1, orange below, each to the full at a factor of
// four, and grey within the margin. Both are told apart by those who see red and green alike.
func shade(ratio float64) string {
	if ratio > 1-margin && ratio < 1+margin {
		return "#e4e7eb"
	}
	t := min(math.Abs(math.Log(ratio))/math.Log(4), 1)
	from, to := [3]float64{0xd6, 0xe8, 0xfa}, [3]float64{0x0b, 0x5c, 0xad}
	if ratio < 1 {
		from, to = [3]float64{0xfd, 0xe3, 0xcf}, [3]float64{0xb9, 0x47, 0x04}
	}
	var c [3]int
	for i := range c {
		c[i] = int(from[i] + (to[i]-from[i])*t)
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
}

// unique returns the values of f over items in the order in which they first appear.
func unique[T any, K comparable](items []T, f func(T) K) (keys []K) {
	for _, it := range items {
		if k := f(it); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}
