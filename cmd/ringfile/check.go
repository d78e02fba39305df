package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// sumList is a file with sums to check, and what came of it. The counts are of the printer.
type sumList struct {
	name       string // for messages
	formed     bool   // a line has the form of a sum
	matched    bool   // a file is as it should be
	bad        int64  // lines that have not the form of a sum
	unreadable int64  // files
	mismatched int64
}

// maxLine bounds the lines of a list. A name has at most 4,096 bytes, and twice as many escaped.
const maxLine = 64 << 10

// lists reads the lists named on the command line, and puts a job for each line and each end.
func (s *summer) lists(w *walker, put func(*job)) {
	var p lineParser
	for _, name := range s.flags.names {
		if w.ctx.Err() != nil {
			return
		}
		if name == "-" {
			if w.streams != nil {
				// A list before this one names standard input as a file.
				select {
				case <-w.streams:
				case <-w.ctx.Done():
					return
				}
			}
			s.list(w, &p, s.hasher.stdin, name, put)
			continue
		}
		f, err := s.engine.Open(name)
		if err != nil {
			put(&job{item: &item{name: name, err: err}})
			continue
		}
		s.list(w, &p, f, name, put)
		f.Close()
	}
}

// list reads one list.
func (s *summer) list(w *walker, p *lineParser, from io.Reader, name string, put func(*job)) {
	fromStdin := name == "-"
	l := &sumList{name: quote(name)}
	if fromStdin {
		l.name = quote("standard input")
	}
	var want [32]byte
	w.emit = func(it *item) { put(&job{item: it, list: l, want: want}) }
	in := bufio.NewReaderSize(from, maxLine)
	for n := 1; w.ctx.Err() == nil; n++ {
		line, err := in.ReadSlice('\n')
		comment, bad := len(line) > 0 && line[0] == '#', err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull && w.ctx.Err() == nil {
			_, err = in.ReadSlice('\n')
		}
		if !bad {
			line = bytes.TrimSuffix(line, []byte("\n"))
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if !comment && len(line) > 0 {
			sum, name, ok := p.parse(line)
			if bad || !ok || name == "-" && fromStdin {
				put(&job{item: new(item), list: l, bad: n})
			} else {
				want = sum
				s.listed(w, name)
			}
		}
		if err == io.EOF {
			err = nil
		} else if err == nil {
			continue
		}
		put(&job{item: &item{err: err}, list: l, end: true})
		return
	}
}

// listed emits the file of a line.
func (s *summer) listed(w *walker, name string) {
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		w.emit(&item{name: name, err: &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}})
		return
	}
	w.arguments([]string{name})
}

// verify appends to line what is to be printed about a job of a list.
func (s *summer) verify(line []byte, j *job) []byte {
	l := j.list
	var outcome string
	switch {
	case j.end:
		s.conclude(l, j.err)
		return line
	case j.bad > 0:
		l.bad++
		if s.flags.outcomes == allAndBadLines {
			s.console.message("ringfile sum: %s: %d: improperly formatted SHA256 checksum line", l.name, j.bad)
		}
		return line
	case j.err != nil && s.flags.ignoreMissing && errors.Is(j.err, fs.ErrNotExist):
		l.formed = true
		return line
	case j.err != nil:
		l.unreadable++
		s.console.message("ringfile sum: %s: %s", quote(j.name), describe(j.err))
		outcome = "FAILED open or read"
	case j.sum != j.want:
		l.mismatched++
		s.bar.files.Add(1)
		outcome = "FAILED"
	default:
		l.matched = true
		s.bar.files.Add(1)
		outcome = "OK"
	}
	l.formed = true
	if s.flags.outcomes == noOutcomes || s.flags.outcomes == failuresOnly && outcome == "OK" {
		return line
	}
	if mustEscape(j.name) {
		line = append(line, '\\')
	}
	line = append(appendName(line, j.name), ": "...)
	return append(append(line, outcome...), '\n')
}

// conclude says what came of a list, which ended with err.
func (s *summer) conclude(l *sumList, err error) {
	s.failed += l.unreadable + l.mismatched
	warn := func(n int64, one, many string) {
		if n > 0 && s.flags.outcomes != noOutcomes {
			if n > 1 {
				one = many
			}
			s.console.message("ringfile sum: WARNING: %d %s", n, one)
		}
	}
	switch {
	case err != nil:
		s.console.message("ringfile sum: %s: %s", l.name, describe(err))
	case !l.formed:
		s.console.message("ringfile sum: %s: no properly formatted checksum lines found", l.name)
	default:
		warn(l.bad, "line is improperly formatted", "lines are improperly formatted")
		warn(l.unreadable, "listed file could not be read", "listed files could not be read")
		warn(l.mismatched, "computed checksum did NOT match", "computed checksums did NOT match")
		if s.flags.ignoreMissing && !l.matched && s.flags.outcomes != noOutcomes {
			s.console.message("ringfile sum: %s: no file was verified", l.name)
		}
	}
	if err != nil || !l.matched || s.flags.strict && l.bad > 0 {
		s.refuted = true
	}
}

// lineParser reads lines of lists: sum and name in the form of sha256sum, or with one space
// between them (BSD's -r), but not both in one run, as a name may begin with a space; and the form
// of --tag.
type lineParser struct{ usual, reversed bool }

// parse returns what line has, which is without its end.
func (p *lineParser) parse(line []byte) (sum [32]byte, name string, ok bool) {
	const digits = 2 * len(sum)
	line = bytes.TrimLeft(line, " \t")
	line, escaped := bytes.CutPrefix(line, []byte(`\`))
	var text []byte
	rest, tagged := bytes.CutPrefix(line, []byte("SHA256"))
	switch {
	case bytes.IndexByte(line, 0) >= 0: // no name has one
		return sum, "", false
	case tagged:
		rest = bytes.TrimPrefix(rest, []byte(" "))
		end := bytes.LastIndexByte(rest, ')')
		if end < 1 || rest[0] != '(' {
			return sum, "", false
		}
		name = string(rest[1:end])
		text, ok = bytes.CutPrefix(bytes.TrimLeft(rest[end+1:], " \t"), []byte("="))
		if text = bytes.TrimLeft(text, " \t"); !ok || !decode(&sum, text) {
			return sum, "", false
		}
	case len(line) < digits+2 || line[digits] != ' ' && line[digits] != '\t' || !decode(&sum, line[:digits]):
		return sum, "", false
	default:
		rest = line[digits+1:]
		if len(rest) == 1 || rest[0] != ' ' && rest[0] != '*' {
			if p.usual {
				return sum, "", false
			}
			p.reversed = true
		} else if !p.reversed {
			p.usual = true
			rest = rest[1:]
		}
		name = string(rest)
	}
	if escaped {
		name, ok = unescapeName(name)
		return sum, name, ok
	}
	return sum, name, true
}

// decode reads a sum in hexadecimal digits.
func decode(sum *[32]byte, text []byte) bool {
	if len(text) != 2*len(sum) {
		return false
	}
	_, err := hex.Decode(sum[:], text)
	return err == nil
}

// unescapeName reverses appendName.
func unescapeName(name string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '\\' {
			i++
			if i == len(name) {
				return "", false
			}
			k := strings.IndexByte(escapeLetters, name[i])
			if k < 0 {
				return "", false
			}
			c = escapes[k]
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
