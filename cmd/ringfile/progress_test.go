package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestProgressRender(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	bar := func(files, bytes, totalFiles, totalBytes int64, known bool) *progress {
		p := &progress{start: start}
		p.files.Store(files)
		p.bytes.Store(bytes)
		p.totalFiles.Store(totalFiles)
		p.totalBytes.Store(totalBytes)
		p.totalKnown.Store(known)
		return p
	}
	for _, c := range []struct {
		name  string
		p     *progress
		width int
		want  string
	}{
		{"total unknown", bar(12, 4e9, 20, 5e9, false), 79, "12 files  4.00 GB  1.00 GB/s"},
		{"more than expected", bar(1, 4e9, 1, 0, true), 79, "1 file  4.00 GB  1.00 GB/s"},
		{"half", bar(12, 4e9, 20, 8e9, true), 79, " 50% [########--------]  4.00 GB of 8.00 GB  1.00 GB/s  12 of 20 files  ETA 0:04"},
		{"wide", bar(0, 0, 2, 8e9, true), 200, "  0% [" + strings.Repeat("-", 40) + "]  0 B of 8.00 GB  0 B/s  0 of 2 files"},
		{"narrow", bar(12, 4e9, 20, 8e9, true), 30, " 50%  4.00 GB of 8.00 GB  1.00"},
		{"nothing at all", bar(0, 0, 0, 0, true), 50, "100% [########]  0 B of 0 B  0 B/s  0 of 0 files"},
		{"no width", bar(12, 4e9, 20, 8e9, true), -1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.p.render(c.width, start.Add(4*time.Second))
			if c.name == "half" || c.name == "nothing at all" {
				// As many columns as there are, exactly.
				if n := utf8.RuneCountInString(got); n > c.width {
					t.Errorf("%d columns, want at most %d", n, c.width)
				}
				got, c.want = squeeze(got), squeeze(c.want)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// squeeze makes the bar in s the same for all lengths.
func squeeze(s string) string {
	for _, pair := range []string{"##", "--"} {
		for strings.Contains(s, pair) {
			s = strings.ReplaceAll(s, pair, pair[:1])
		}
	}
	return s
}

func TestProgressRateFollows(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := &progress{start: now}
	for range 100 { // ten seconds at 1 GB/s
		now = now.Add(barPeriod)
		p.bytes.Add(1e8)
		p.render(80, now)
	}
	if p.rate < 0.99e9 || p.rate > 1.01e9 {
		t.Errorf("rate: got %g, want 1e9", p.rate)
	}
	for range 150 { // fifteen at a tenth of it
		now = now.Add(barPeriod)
		p.bytes.Add(1e7)
		p.render(80, now)
	}
	if p.rate < 0.99e8 || p.rate > 1.1e8 {
		t.Errorf("rate: got %g, want 1e8", p.rate)
	}
}

// TestConsoleKeepsBarApart checks what a terminal gets: the bar is off the screen whenever something
// else is written.
func TestConsoleKeepsBarApart(t *testing.T) {
	var screen bytes.Buffer // stdout and stderr at once
	c := newConsole(&screen, &screen)
	c.outShared = true
	c.show(&progress{start: time.Now()}, func() int { return 80 })
	for c.mu.Lock(); !c.shown; c.mu.Lock() {
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	c.mu.Unlock()
	c.line([]byte("a line\n"))
	c.flush()
	c.message("a message")
	c.hide()
	c.message("the end")

	text := screen.String()
	for _, line := range []string{"a line\n", "a message\n", "the end\n"} {
		at := strings.Index(text, line)
		if at < 0 {
			t.Fatalf("%q is not on the screen: %q", line, text)
		}
		before := text[:at]
		if !strings.HasSuffix(before, "\r\x1b[K") && !strings.HasSuffix(before, "\n") {
			t.Errorf("%q comes behind the bar: %q", line, text)
		}
	}
	if strings.Contains(strings.SplitAfter(text, "a message\n")[1], "the end\n0 ") {
		t.Errorf("the bar comes back: %q", text)
	}
}
