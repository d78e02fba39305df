package main

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// features has a file for each series of kernels, with what its kernels must have: lines of a kind
// and names. skips.txt has what may be skipped.
//
//go:embed features/*.txt skips.txt
var expected embed.FS

// number returns a series, like "6.12", as a number that can be compared.
func number(series string) int {
	major, minor, _ := strings.Cut(series, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		panic("no series of kernels: " + series)
	}
	return a*1000 + b
}

// expectedFeatures returns what a kernel of a series must have, by kind, and the series that this
// was written down for: the newest that is not newer.
func expectedFeatures(series string) (have map[string][]string, from string) {
	entries, err := expected.ReadDir("features")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		s := strings.TrimSuffix(e.Name(), ".txt")
		if number(s) <= number(series) && (from == "" || number(s) > number(from)) {
			from = s
		}
	}
	have = make(map[string][]string)
	if from == "" {
		return have, from
	}
	text, err := expected.ReadFile(path.Join("features", from+".txt"))
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] != "#" {
			have[words[0]] = append(have[words[0]], words[1:]...)
		}
	}
	return have, from
}

// featureText is the content of a file of features.
func featureText(have map[string][]string) string {
	var b strings.Builder
	for _, kind := range []string{"feature", "op", "setup"} {
		line := kind
		for _, name := range have[kind] {
			if len(line)+len(name) > 98 {
				b.WriteString(line + "\n")
				line = kind
			}
			line += " " + name
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// missing returns what is in want and not in have, each as "kind name".
func missing(want, have map[string][]string) (list []string) {
	for kind, names := range want {
		for _, name := range names {
			if !slices.Contains(have[kind], name) {
				list = append(list, kind+" "+name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// allowance is a line of skips.txt: tests that may be skipped, with the reason they give.
type allowance struct {
	kernels, step, test, reason, why string
	used                             bool
}

// allowances reads skips.txt.
func allowances(text string) (list []*allowance, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) != 5 {
			return nil, fmt.Errorf("skips.txt: %q has %d columns, want 5", line, len(parts))
		}
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		list = append(list, &allowance{kernels: parts[0], step: parts[1], test: parts[2], reason: parts[3], why: parts[4]})
	}
	return list, nil
}

// allowed returns the first of list that allows s on a kernel, nil if none does.
func allowed(list []*allowance, series, step string, s skip) *allowance {
	for _, a := range list {
		if covers(a.kernels, series, s.reason) && matches(a.step, step) && matches(a.test, s.test) && matches(a.reason, s.reason) {
			a.used = true
			return a
		}
	}
	return nil
}

var needs = regexp.MustCompile(`\bLinux (\d+\.\d+)\b`)

// covers reports whether kernels has series: "*", "6.1", "<6.12", ">=6.16", or several of these with
// commas; "older" has those that are older than the Linux that the reason names.
func covers(kernels, series, reason string) bool {
	for _, k := range strings.Split(kernels, ",") {
		k = strings.TrimSpace(k)
		if k == "*" || k == series {
			return true
		}
		if m := needs.FindStringSubmatch(reason); k == "older" && m != nil && number(series) < number(m[1]) {
			return true
		}
		if limit, ok := strings.CutPrefix(k, "<"); ok && number(series) < number(limit) {
			return true
		}
		if limit, ok := strings.CutPrefix(k, ">="); ok && number(series) >= number(limit) {
			return true
		}
	}
	return false
}

// matches reports whether s is like pattern, where a * stands for anything.
func matches(pattern, s string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	return regexp.MustCompile("^(?s:" + quoted + ")$").MatchString(s)
}
