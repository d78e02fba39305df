//go:build linux

package soak

import (
	"fmt"
	"time"

	"github.com/ringfile/ringfile/internal/bench"
)

// points is how many places a curve has in the figure.
const points = 60

// Figure draws the curves.
func (r *Report) Figure(subtitle string) *bench.Figure {
	f := &bench.Figure{File: "soak", Title: "An engine under mixed load", Subtitle: subtitle}
	each := max(1, (len(r.Samples)+points-1)/points)
	for _, c := range curves {
		panel := bench.Panel{Title: c.name, XLabel: "time", Format: func(v float64) string { return fmt.Sprintf("%.4g", v) }}
		line := bench.Line{Color: "#0b5cad"}
		for i := 0; i < len(r.Samples); i += each {
			group := r.Samples[i:min(i+each, len(r.Samples))]
			label := ""
			if len(panel.X)%(points/4) == 0 {
				label = group[0].At.Round(time.Second).String()
			}
			panel.X = append(panel.X, label)
			line.Y = append(line.Y, c.median(group)/c.unit)
		}
		panel.Lines = []bench.Line{line}
		f.Panels = append(f.Panels, panel)
	}
	return f
}
