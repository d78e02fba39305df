package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// progress is how far the work has come. Those who work add to the counters; render is called by
// one goroutine at a time.
type progress struct {
	start time.Time

	files, bytes           atomic.Int64 // done
	totalFiles, totalBytes atomic.Int64 // found so far
	totalKnown             atomic.Bool  // all have been found

	last      time.Time // of the previous measurement
	lastBytes int64
	rate      float64 // bytes per second, of late
}

// render returns the progress in one line of at most width columns.
func (p *progress) render(width int, now time.Time) string {
	bytes, files := p.bytes.Load(), p.files.Load()
	p.measure(bytes, now)
	rate := byteCount(int64(p.rate)) + "/s"
	total := p.totalBytes.Load()
	if !p.totalKnown.Load() || total < bytes {
		// The total is not known, or wrong: a file has grown, or says that it is empty.
		return cut(fmt.Sprintf("%s  %s  %s", plural(files, "file"), byteCount(bytes), rate), width)
	}
	share := 1.0
	if total > 0 {
		share = float64(bytes) / float64(total)
	}
	text := fmt.Sprintf("%s of %s  %s  %d of %s", byteCount(bytes), byteCount(total), rate,
		files, plural(p.totalFiles.Load(), "file"))
	if p.rate > 0 {
		text += "  ETA " + clock(time.Duration(float64(total-bytes)/p.rate*float64(time.Second)))
	}
	percent := fmt.Sprintf("%3d%% ", int(share*100))
	room := min(width-utf8.RuneCountInString(percent+text)-len("[]  "), 40)
	if room < 8 {
		return cut(percent+" "+text, width)
	}
	full := int(share * float64(room))
	return percent + "[" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]  " + text
}

// measure updates the rate, as a mean over about three seconds.
func (p *progress) measure(bytes int64, now time.Time) {
	if p.last.IsZero() {
		p.last = p.start
	}
	seconds := now.Sub(p.last).Seconds()
	if seconds < barPeriod.Seconds()/2 {
		return
	}
	rate := float64(bytes-p.lastBytes) / seconds
	if p.rate == 0 {
		p.rate = rate
	} else {
		weight := min(seconds/3, 1)
		p.rate += (rate - p.rate) * weight
	}
	p.last, p.lastBytes = now, bytes
}

// cut returns the first width columns of s, which is ASCII.
func cut(s string, width int) string {
	return s[:max(0, min(len(s), width))]
}
