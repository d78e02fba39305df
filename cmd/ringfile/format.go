package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// lineForm is how lines with sums look.
type lineForm struct {
	tag    bool // as those of BSD
	binary bool // with an asterisk, if not tag
	zero   bool // they end with NUL, so that no name needs to be escaped
}

// append appends the line that sha256sum prints. A name that would break the line is escaped, and
// the line then starts with a backslash, which is how sha256sum -c recognizes it.
func (f lineForm) append(line []byte, sum [32]byte, name string) []byte {
	put, end := appendName, byte('\n')
	if f.zero {
		put, end = func(line []byte, name string) []byte { return append(line, name...) }, 0
	} else if mustEscape(name) {
		line = append(line, '\\')
	}
	switch {
	case f.tag:
		line = append(put(append(line, "SHA256 ("...), name), ") = "...)
		line = hex.AppendEncode(line, sum[:])
	case f.binary:
		line = put(append(hex.AppendEncode(line, sum[:]), " *"...), name)
	default:
		line = put(append(hex.AppendEncode(line, sum[:]), "  "...), name)
	}
	return append(line, end)
}

// escapes are the characters of names that are written as a backslash and a letter.
const escapes, escapeLetters = "\\\n\r", `\nr`

func mustEscape(name string) bool { return strings.ContainsAny(name, escapes) }

// appendName appends name, escaped where that is necessary.
func appendName(line []byte, name string) []byte {
	for i := range len(name) {
		if k := strings.IndexByte(escapes, name[i]); k >= 0 {
			line = append(line, '\\', escapeLetters[k])
		} else {
			line = append(line, name[i])
		}
	}
	return line
}

// quote returns name as the GNU tools put it into messages: as it is if a shell would take it so,
// otherwise quoted for a shell. A message never carries control characters to the terminal.
func quote(name string) string {
	var safe, printable, double = name != "", true, false
	for i, r := range name {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(name[i:], "\uFFFD"), !unicode.IsPrint(r):
			safe, printable = false, false
		case r == '\'':
			safe, double = false, true
		case strings.ContainsRune(" !\"$&()*:;<=>?[\\^`|", r), strings.ContainsRune("#~", r) && i == 0:
			safe = false
		}
	}
	switch {
	case safe:
		return name
	case double && printable && !strings.ContainsAny(name, "\"$`\\!"):
		return `"` + name + `"`
	}
	var b strings.Builder
	b.WriteByte('\'')
	escaped := false // within $'...'
	within := func(want bool) {
		switch {
		case want && !escaped:
			b.WriteString(`'$'`)
		case !want && escaped:
			b.WriteString(`''`)
		}
		escaped = want
	}
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		bad := r == utf8.RuneError && size == 1 || !unicode.IsPrint(r)
		switch {
		case bad:
			within(true)
			for _, c := range []byte(name[i : i+size]) {
				if k := strings.IndexByte("\a\b\t\n\v\f\r", c); k >= 0 {
					b.WriteByte('\\')
					b.WriteByte("abtnvfr"[k])
				} else {
					fmt.Fprintf(&b, `\%03o`, c)
				}
			}
		case r == '\'':
			within(false)
			b.WriteString(`'\''`)
		default:
			within(false)
			b.WriteString(name[i : i+size])
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// describe returns what is wrong in the words of the C library, as other tools print them.
func describe(err error) string {
	var errno syscall.Errno
	var path *fs.PathError
	text := err.Error()
	switch {
	case errors.As(err, &errno):
		text = errno.Error()
	case errors.As(err, &path):
		text = path.Err.Error()
	}
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// byteCount returns n bytes in words, with three digits and a decimal unit.
func byteCount(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < len("kMGTPE") {
		v /= 1000
		unit++
	}
	digits := 2
	switch {
	case v >= 99.95:
		digits = 0
	case v >= 9.995:
		digits = 1
	}
	return fmt.Sprintf("%.*f %cB", digits, v, "kMGTPE"[unit-1])
}

// clock returns d in minutes and seconds, with hours if there are any.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// plural returns n with the word for what is counted.
func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// join returns the name of an entry of a directory. Unlike filepath.Join it leaves dir as the user
// typed it, so that the names are those of find.
func join(dir, entry string) string {
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + entry
	}
	return dir + string(os.PathSeparator) + entry
}
