package switcher

import (
	"bytes"
	"fmt"
	"strings"
)

// around is how many lines a patch shows before and behind a change.
const around = 3

// unified writes the difference between two texts as a unified diff; nothing if there is none.
func unified(b *bytes.Buffer, name, old, now string) {
	if old == now {
		return
	}
	fmt.Fprintf(b, "diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n", name, name, name, name)
	lines := difference(split(old), split(now))
	oldAt, newAt := 1, 1 // the numbers of the line at i
	for i := 0; i < len(lines); {
		if lines[i][0] == ' ' {
			i, oldAt, newAt = i+1, oldAt+1, newAt+1
			continue
		}
		begin := max(0, i-around)
		end, same := i, 0
		for end < len(lines) && same <= 2*around {
			if lines[end][0] == ' ' {
				same++
			} else {
				same = 0
			}
			end++
		}
		end -= max(0, same-around)
		oldFrom, newFrom := oldAt-(i-begin), newAt-(i-begin)
		var body strings.Builder
		oldN, newN := 0, 0
		for j, l := range lines[begin:end] {
			if l[0] != '+' {
				oldN++
			}
			if l[0] != '-' {
				newN++
			}
			body.WriteString(l)
			if !strings.HasSuffix(l, "\n") {
				body.WriteString("\n\\ No newline at end of file\n")
			}
			if begin+j >= i {
				if l[0] != '+' {
					oldAt++
				}
				if l[0] != '-' {
					newAt++
				}
			}
		}
		fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n%s", oldFrom, oldN, newFrom, newN, &body)
		i = end
	}
}

// difference returns the lines of a and b with ' ', '-' or '+' before them. After lines that differ it goes on
// where the two are the same again soonest.
func difference(a, b []string) (lines []string) {
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			lines, a, b = append(lines, " "+a[0]), a[1:], b[1:]
			continue
		}
		gone, come := again(a, b)
		for _, l := range a[:gone] {
			lines = append(lines, "-"+l)
		}
		for _, l := range b[:come] {
			lines = append(lines, "+"+l)
		}
		a, b = a[gone:], b[come:]
	}
	return lines
}

// again returns how many lines of a and b are to be left out, in all as few as can be, for the next to be the same.
func again(a, b []string) (gone, come int) {
	for n := 1; n < len(a)+len(b); n++ {
		for gone := max(0, n-len(b)+1); gone <= n && gone < len(a); gone++ {
			if come := n - gone; a[gone] == b[come] && (a[gone] != "\n" || gone == come) {
				for gone > 0 && come > 0 && a[gone-1] == b[come-1] { // empty lines
					gone, come = gone-1, come-1
				}
				return gone, come
			}
		}
	}
	return len(a), len(b)
}

// split returns the lines of a text.
func split(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	}
	return lines
}
