package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzParseSize checks that a size is what its digits and its unit say, and nothing else is one.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1M", "512MiB", "2G", "4097k", "1048577", "1KB", "-1G", "9223372036854775807G", "1Mi", "iB", "1kk", "+2M", "0x1G", "1_000M"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			return
		}
		if n < 1<<20 || n > 1<<60 || n%4096 != 0 {
			t.Fatalf("%q is %d", s, n)
		}
		end := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune("kKMGiB", r) })
		digits, unit := s, ""
		if end >= 0 {
			digits, unit = s[:end], s[end:]
		}
		v, err := strconv.ParseInt(digits, 10, 64)
		shift := map[string]int{"": 0, "k": 10, "K": 10, "M": 20, "G": 30}
		by, ok := shift[strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "i")]
		if err != nil || !ok || v<<by>>by != v || v<<by-n < 0 || v<<by-n >= 4096 {
			t.Fatalf("%q is taken for %d", s, n)
		}
	})
}

// FuzzParseNumbers checks that what is read is what would be written.
func FuzzParseNumbers(f *testing.F) {
	for _, s := range []string{"1", "1,16,64", "", ",", "0", "1000001", "+1", " 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseNumbers(s)
		if err != nil {
			return
		}
		if len(list) != strings.Count(s, ",")+1 || slices.Min(list) < 1 || slices.Max(list) > 1_000_000 {
			t.Fatalf("%q is %d", s, list)
		}
	})
}

// FuzzFlags gives the command lines of bench and sum any words: they are understood or refused, with
// words, and what is understood is within its bounds.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{"--quick", "--full\n--size\n1G", "-j8\nfile", "-j\n0", "--\n-j", "-h", "--fs\next4,xfs", "--reps\n-1",
		"--cells\n(", "--piece-time\n1ns", "-j=9999999999999999999", "-\n-q", "--direct"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		b, err := parseBench(args)
		if err == nil && (b.reps < 1 || b.size < 1<<20 || b.quick && b.full || !b.quick && !b.full && !b.fio || b.piece(false) <= 0) {
			t.Errorf("bench %q: %+v", args, b)
		}
		var said strings.Builder
		s, err := parseSum(args, io.Discard, &said)
		switch {
		case err == nil && (s.reads < 1 || s.reads > maxReads || len(s.names) == 0):
			t.Errorf("sum %q: %+v", args, s)
		case err != nil && !errors.Is(err, flag.ErrHelp) && said.Len() == 0:
			t.Errorf("sum %q: %v, and nobody is told", args, err)
		}
	})
}
