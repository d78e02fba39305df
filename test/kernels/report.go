package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringfile/ringfile/test/kernels/plan"
)

// judge returns what is to be said about rows, and whether anything failed.
func judge(rows []*row) (report string, failed bool) {
	text, err := expected.ReadFile("skips.txt")
	if err != nil {
		panic(err)
	}
	list, err := allowances(string(text))
	if err != nil {
		return err.Error() + "\n", true
	}
	var b strings.Builder
	unlisted := newGroups()
	for _, r := range rows {
		faults := r.faults()
		for _, s := range r.steps {
			var others []skip
			for _, skipped := range s.skipped {
				if allowed(list, r.series, s.name, skipped) == nil {
					others = append(others, skipped)
				}
			}
			for _, k := range siblings(others) {
				unlisted.add(s.name+" | "+k.test+" | "+k.reason, r.series)
			}
		}
		for _, fault := range faults {
			failed = true
			fmt.Fprintf(&b, "FAIL %s: %s\n", r.series, fault)
		}
		want, from := expectedFeatures(r.series)
		if more := missing(r.have, want); len(more) > 0 {
			fmt.Fprintf(&b, "%s has more than features/%s.txt: %s (-record writes it down)\n", r.series, from, strings.Join(more, ", "))
		}
	}
	if len(unlisted.keys) > 0 {
		failed = true
		b.WriteString("FAIL: skipped, but not down in test/kernels/skips.txt. If that is right, add, with why:\n")
		for _, key := range unlisted.keys {
			fmt.Fprintf(&b, "%s | %s | why\n", strings.Join(unlisted.series[key], ","), key)
		}
	}
	for _, a := range list {
		if !a.used {
			fmt.Fprintf(&b, "not needed on these kernels: %s | %s | %s | %s\n", a.kernels, a.step, a.test, a.reason)
		}
	}
	b.WriteString("\n" + table(rows) + "\n")
	return b.String(), failed
}

// faults returns what is wrong with r, but for skips.
func (r *row) faults() (list []string) {
	if r.err != nil {
		list = append(list, r.err.Error())
	}
	if r.results == nil {
		return list
	}
	if !r.done {
		list = append(list, "the guest did not come to its end: see "+r.guest.results()+" and "+r.guest.console())
	}
	if len(r.steps) != len(steps()) {
		list = append(list, fmt.Sprintf("%d of %d steps begun", len(r.steps), len(steps())))
	}
	for _, complaint := range r.complaints {
		list = append(list, "kernel: "+complaint)
	}
	if slices.ContainsFunc(steps(), func(s plan.Step) bool { return s.Name == featureStep }) {
		want, from := expectedFeatures(r.series)
		for _, m := range missing(want, r.have) {
			list = append(list, "without "+m+", which is down in features/"+from+".txt")
		}
	}
	for _, s := range r.steps {
		for _, f := range s.failed {
			list = append(list, s.name+": "+f.test+"\n"+tail(f.output, 40))
		}
		if s.code != "0" || s.passed == 0 {
			list = append(list, fmt.Sprintf("%s: exit code %s, %d tests passed; the end of its output:\n%s",
				s.name, s.code, s.passed, tail(s.output, 15)))
		}
	}
	return list
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// groups are texts and the series that each belongs to, in order of appearance.
type groups struct {
	keys   []string
	series map[string][]string
}

func newGroups() *groups { return &groups{series: make(map[string][]string)} }

func (g *groups) add(key, series string) {
	if g.series[key] == nil {
		g.keys = append(g.keys, key)
	}
	if !slices.Contains(g.series[key], series) {
		g.series[key] = append(g.series[key], series)
	}
}

// siblings returns list with those subtests of one test that gave the same reason as one, parent/*.
func siblings(list []skip) (short []skip) {
	count := make(map[skip]int)
	family := func(s skip) skip { return skip{path.Join(path.Dir(s.test), "*"), s.reason} }
	for _, s := range list {
		count[family(s)]++
	}
	for _, s := range list {
		f := family(s)
		if strings.Contains(s.test, "/") && count[f] > 2 {
			s = f
		}
		if !slices.Contains(short, s) {
			short = append(short, s)
		}
	}
	return short
}

// table returns the matrix in Markdown: the kernels, and what was skipped where.
func table(rows []*row) string {
	var b strings.Builder
	b.WriteString("| kernel | features, operations, setup flags | new over the row above |")
	for _, s := range steps() {
		b.WriteString(" " + s.Name + " |")
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(steps())) + "\n")
	skipped := newGroups()
	var before map[string][]string
	for _, r := range rows {
		if r.results == nil {
			fmt.Fprintf(&b, "| %s | not run |\n", r.guest.kernel.release)
			continue
		}
		news := "-"
		if before != nil {
			if list := missing(r.have, before); len(list) > 0 {
				news = strings.Join(list, ", ")
			}
		}
		before = r.have
		fmt.Fprintf(&b, "| %s | %d, %d, %d | %s |", strings.TrimSuffix(r.release, flavour),
			len(r.have["feature"]), len(r.have["op"]), len(r.have["setup"]), news)
		for _, s := range r.steps {
			fmt.Fprintf(&b, " %d passed, %d skipped", s.passed, len(s.skipped))
			if len(s.failed) > 0 || s.code != "0" {
				fmt.Fprintf(&b, ", **%d failed**", max(1, len(s.failed)))
			}
			b.WriteString(" |")
			for _, k := range siblings(s.skipped) {
				escaped := strings.NewReplacer("|", "\\|", "*", "\\*")
				skipped.add(escaped.Replace(k.test)+" | "+s.name+" | "+escaped.Replace(k.reason), r.series)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\nSkipped, with the reason that the test gave:\n\n| test | of | reason | on |\n|---|---|---|---|\n")
	for _, key := range skipped.keys {
		on := strings.Join(skipped.series[key], ", ")
		if len(skipped.series[key]) == len(rows) {
			on = "all"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", key, on)
	}
	return b.String()
}

const (
	docsPage   = "docs/kernels.md"
	tableBegin = "<!-- written by go run ./test/kernels -write -->\n"
	tableEnd   = "<!-- to here -->\n"
)

// writeTable puts the matrix into the page about kernels.
func writeTable(rows []*row) error {
	text, err := os.ReadFile(docsPage)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), tableBegin)
	_, tail, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table: %s", docsPage, tableBegin)
	}
	return os.WriteFile(docsPage, []byte(head+tableBegin+"\n"+table(rows)+"\n"+tableEnd+tail), 0o644)
}

// writeFeatures writes down what the kernels have.
func writeFeatures(rows []*row) error {
	for _, r := range rows {
		if r.results == nil || len(r.have) == 0 {
			continue
		}
		name := filepath.Join("test", "kernels", "features", r.series+".txt")
		if err := os.WriteFile(name, []byte(featureText(r.have)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
