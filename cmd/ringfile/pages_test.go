package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updatePages = flag.Bool("update-pages", false, "write the manual pages and the completions of shells anew")

// documented are the commands that have a page of their own, in the order of the usage.
var documented = []string{"sum", "cp", "probe", "bench", "switch"}

// usages returns the usage of the program, by the empty name, and those of its commands.
func usages() map[string]usageText {
	const perCPU = "4 for each processor, 32 to 128" // defaultReads
	texts := map[string]usageText{}
	for name, text := range map[string]string{
		"": usage, "sum": sumHelp(perCPU), "cp": cpHelp(perCPU), "probe": probeUsage, "bench": benchUsage, "switch": switchUsage,
	} {
		texts[name] = parseUsage(text)
	}
	return texts
}

// TestPages compares the manual pages in man/ and the completions in completion/ with what the usages say.
// "go generate ./cmd/ringfile" writes them anew.
func TestPages(t *testing.T) {
	texts := usages()
	files := map[string]string{
		"completion/ringfile.bash": bashCompletion(texts),
		"completion/_ringfile":     zshCompletion(texts),
		"completion/ringfile.fish": fishCompletion(texts),
		"man/ringfile.1":           manual("ringfile", "sums and copies files and trees, and looks at what io_uring does", texts[""]),
	}
	for _, name := range documented {
		files["man/ringfile-"+name+".1"] = manual("ringfile-"+name, texts[""].about(name), texts[name])
	}
	for name, want := range files {
		if *updatePages {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Error(err)
			}
		} else if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s is not what \"go generate ./cmd/ringfile\" makes (%v)", name, err)
		}
	}
}

// TestUsagesNameFlags checks that the usages name the flags that there are, and no others.
func TestUsagesNameFlags(t *testing.T) {
	sets := map[string]*flag.FlagSet{
		"sum":    sumSet(new(sumFlags), new(bool)),
		"probe":  probeSet(new(bool)),
		"bench":  benchSet(new(benchFlags)),
		"switch": switchSet(new(switchFlags)),
	}
	known := map[string][]string{"cp": cpKnows(t)}
	for name, set := range sets {
		known[name] = []string{"h", "help"}
		set.VisitAll(func(f *flag.Flag) { known[name] = append(known[name], f.Name) })
	}
	for name, text := range usages() {
		var named []string
		for _, o := range text.options() {
			for _, f := range o.names {
				named = append(named, strings.TrimLeft(f, "-"))
			}
		}
		slices.Sort(named)
		want := slices.Sorted(slices.Values(known[name]))
		if !slices.Equal(named, want) {
			t.Errorf("%s: the usage names %q, and there are %q", name, named, want)
		}
	}
}

// cpKnows returns the flags that cp takes, as its source has them.
func cpKnows(t *testing.T) (names []string) {
	source, err := os.ReadFile("cp_flags.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func (f *cpFlags) set(")
	body, _, _ = strings.Cut(body, "\n}\n")
	for _, m := range regexp.MustCompile(`"--?([A-Za-z][a-z-]*)"`).FindAllStringSubmatch(body, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestCompletion completes with those shells that are there.
func TestCompletion(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"ringfile pr", "probe"},
		{"ringfile help be", "bench"},
		{"ringfile sum --z", "--zero"},
		{"ringfile cp --target", "--target-directory"},
		{"ringfile cp a", ""}, // is left to the completion of file names
	} {
		script := fmt.Sprintf("source completion/ringfile.bash; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ringfile; echo ${COMPREPLY[@]}", c.line)
		if out := said(t, "bash", "-c", script); strings.TrimSpace(out) != c.want {
			t.Errorf("bash, %s: got %q, want %q", c.line, out, c.want)
		}
	}
	said(t, "zsh", "-n", "completion/_ringfile")
	if out := said(t, "fish", "-c", "source completion/ringfile.fish; complete -C 'ringfile sum --zer'"); !strings.HasPrefix(out, "--zero") && out != "" {
		t.Errorf("fish: got %q, want --zero", out)
	}
}

// said runs a shell and returns what it prints, nothing if it is not there.
func said(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(args[0])
	if err != nil {
		if args[0] == "bash" {
			t.Skip("no bash")
		}
		return ""
	}
	out, err := exec.Command(path, args[1:]...).CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// usageText is a usage, taken apart.
type usageText struct {
	synopsis []string
	parts    []usagePart
}

// usagePart is a paragraph, or a list of entries: of flags, or of commands.
type usagePart struct {
	text    string
	entries []usageEntry
}

type usageEntry struct{ head, text string }

// gap stands between the head of an entry and its text, if they are on one line.
var gap = regexp.MustCompile(` {2,}`)

func parseUsage(text string) (u usageText) {
	head, rest, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		u.synopsis = append(u.synopsis, strings.TrimSpace(strings.TrimPrefix(line, "Usage:")))
	}
	open := false // the last part goes on
	for line := range strings.Lines(rest) {
		words := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		last := len(u.parts) - 1
		switch {
		case words == "":
			open = false
		case indent == 0 && open && u.parts[last].entries == nil:
			u.parts[last].text += " " + words
		case indent == 0:
			u.parts, open = append(u.parts, usagePart{text: words}), true
		case indent <= 6:
			if !open || u.parts[last].entries == nil {
				u.parts, open, last = append(u.parts, usagePart{}), true, last+1
			}
			e := usageEntry{head: words}
			if at := gap.FindStringIndex(words); at != nil {
				e = usageEntry{words[:at[0]], words[at[1]:]}
			}
			u.parts[last].entries = append(u.parts[last].entries, e)
		default:
			e := &u.parts[last].entries[len(u.parts[last].entries)-1]
			e.text = strings.TrimSpace(e.text + " " + words)
		}
	}
	return u
}

// about returns what the usage says about a command.
func (u usageText) about(command string) string {
	for _, p := range u.parts {
		for _, e := range p.entries {
			if e.head == command {
				return e.text
			}
		}
	}
	return ""
}

// option is a flag, with all its names.
type option struct {
	names []string
	value string // what stands for its value; empty if it has none
	habit bool   // it has only the one value that the usage names
	text  string // a few words
}

var flagName = regexp.MustCompile(`(?:^|[, ])(--?[A-Za-z][a-z-]*)(=?)`)

// options returns the flags that the usage has entries for.
func (u usageText) options() (list []option) {
	for _, p := range u.parts {
		for _, e := range p.entries {
			if e.head[0] != '-' {
				continue
			}
			o := option{text: regexp.MustCompile(`[;:(]`).Split(e.text, 2)[0]}
			for _, m := range flagName.FindAllStringSubmatch(e.head, -1) {
				o.names, o.habit = append(o.names, m[1]), o.habit || m[2] != ""
			}
			if last := e.head[strings.LastIndex(e.head, " ")+1:]; strings.ToUpper(last) == last && last[0] != '-' {
				o.value = last
			}
			o.text = strings.TrimSpace(o.text)
			list = append(list, o)
		}
	}
	return list
}

// completed returns the options that are worth completing.
func (u usageText) completed() []option {
	return slices.DeleteFunc(u.options(), func(o option) bool { return o.habit })
}

const generated = "Made from the usages by \"go generate ./cmd/ringfile\"; not to be edited."

// manual returns a page in the macros of man(7).
func manual(name, about string, u usageText) string {
	escape := strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace
	var b bytes.Buffer
	fmt.Fprintf(&b, ".\\\" %s\n.TH %s 1 \"\" ringfile \"User Commands\"\n", generated, strings.ToUpper(escape(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", escape(name), escape(about))
	for i, line := range u.synopsis {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, "%s\n", escape(line))
	}
	b.WriteString(".SH DESCRIPTION\n")
	for i, p := range u.parts {
		if p.text != "" {
			if i > 0 {
				b.WriteString(".PP\n")
			}
			fmt.Fprintln(&b, escape(p.text))
		}
		for _, e := range p.entries {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escape(e.head), escape(e.text))
		}
	}
	b.WriteString(".SH SEE ALSO\n")
	var others []string
	for _, other := range append([]string{"ringfile"}, documented...) {
		if other != "ringfile" {
			other = "ringfile-" + other
		}
		if other != name {
			others = append(others, fmt.Sprintf(".BR %s (1)", escape(other)))
		}
	}
	fmt.Fprintln(&b, strings.Join(others, " ,\n"))
	return b.String()
}

// commands returns what may stand behind the program's name.
func commands(u usageText) (list []usageEntry) {
	for _, p := range u.parts {
		list = append(list, p.entries...)
	}
	return list
}

func bashCompletion(texts map[string]usageText) string {
	var all, flags bytes.Buffer
	for _, c := range commands(texts[""]) {
		all.WriteString(" " + c.head)
	}
	for _, name := range documented {
		fmt.Fprintf(&flags, "\t\t%s) words=\"", name)
		for i, o := range texts[name].completed() {
			if i > 0 {
				flags.WriteByte(' ')
			}
			flags.WriteString(strings.Join(o.names, " "))
		}
		flags.WriteString("\" ;;\n")
	}
	return fmt.Sprintf(`# %s
_ringfile() {
	local word=${COMP_WORDS[COMP_CWORD]} words=
	if ((COMP_CWORD == 1)); then
		words="%s"
	elif [[ ${COMP_WORDS[1]} == help ]]; then
		words="%s"
	elif [[ $word == -* ]]; then
		case ${COMP_WORDS[1]} in
%s		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _ringfile ringfile
`, generated, all.String()[1:], strings.Join(documented, " "), &flags)
}

func zshCompletion(texts map[string]usageText) string {
	escape := strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace
	var b bytes.Buffer
	fmt.Fprintf(&b, "#compdef ringfile\n# %s\n\nif ((CURRENT == 2)); then\n\tlocal -a commands=(\n", generated)
	for _, c := range commands(texts[""]) {
		fmt.Fprintf(&b, "\t\t'%s:%s'\n", c.head, escape(c.text))
	}
	fmt.Fprint(&b, "\t)\n\t_describe command commands\n\treturn\nfi\nlocal command=$words[2]\nshift words\n((CURRENT--))\ncase $command in\n")
	for _, name := range documented {
		fmt.Fprintf(&b, "%s)\n\t_arguments -s \\\n", name)
		for _, o := range texts[name].completed() {
			names := o.names[0]
			if len(o.names) > 1 {
				names = fmt.Sprintf("(%s)'{%s}'", strings.Join(o.names, " "), strings.Join(o.names, ","))
			}
			value := ""
			switch o.value {
			case "":
			case "DIR", "D":
				value = ":directory:_files -/"
			default:
				value = ":" + o.value + ":"
			}
			fmt.Fprintf(&b, "\t\t'%s[%s]%s' \\\n", names, escape(o.text), value)
		}
		fmt.Fprint(&b, "\t\t'*:file:_files'\n\t;;\n")
	}
	fmt.Fprintf(&b, "help)\n\t_arguments '1:command:(%s)'\n\t;;\nesac\n", strings.Join(documented, " "))
	return b.String()
}

func fishCompletion(texts map[string]usageText) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", generated)
	for _, c := range commands(texts[""]) {
		fmt.Fprintf(&b, "complete -c ringfile -n __fish_use_subcommand -f -a %s -d %s\n", c.head, quote(c.text))
	}
	for _, name := range documented {
		for _, o := range texts[name].completed() {
			fmt.Fprintf(&b, "complete -c ringfile -n '__fish_seen_subcommand_from %s'", name)
			for _, n := range o.names {
				if long, ok := strings.CutPrefix(n, "--"); ok {
					b.WriteString(" -l " + long)
				} else {
					b.WriteString(" -s " + n[1:])
				}
			}
			switch o.value {
			case "":
			case "DIR", "D":
				b.WriteString(" -r -F")
			default:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", quote(o.text))
		}
	}
	fmt.Fprintf(&b, "complete -c ringfile -n '__fish_seen_subcommand_from help' -f -a %s\n", quote(strings.Join(documented, " ")))
	return b.String()
}
