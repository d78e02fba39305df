package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/ringfile/ringfile/test/kernels/plan"
)

// results are what a guest had to say.
type results struct {
	release    string
	have       map[string][]string // names of what the kernel has, by kind
	steps      []stepResult
	complaints []string // of the kernel
	done       bool     // the guest came to the end
}

// stepResult is the outcome of a step.
type stepResult struct {
	name    string
	ended   bool
	code    string // of the program
	seconds string
	passed  int // tests and subtests
	failed  []failure
	skipped []skip
	output  string
}

// failure is a test that failed, and what it said.
type failure struct{ test, output string }

// skip is a test that was skipped, and the reason that it gave.
type skip struct{ test, reason string }

// parse reads what a guest wrote.
func parse(text string) (*results, error) {
	r := &results{have: make(map[string][]string)}
	var step *stepResult
	var body strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		rest, marked := strings.CutPrefix(line, plan.Mark)
		if !marked {
			body.WriteString(line + "\n")
			continue
		}
		key, rest, _ := strings.Cut(rest, " ")
		switch plan.Mark + key {
		case strings.TrimSpace(plan.Boot):
			r.release = rest
		case strings.TrimSpace(plan.Kernel):
			r.complaints = append(r.complaints, rest)
		case plan.Done:
			r.done = true
		case strings.TrimSpace(plan.Feature):
			kind, name, _ := strings.Cut(rest, " ")
			r.have[kind] = append(r.have[kind], name)
		case strings.TrimSpace(plan.Begin):
			body.Reset()
			r.steps = append(r.steps, stepResult{name: rest})
			step = &r.steps[len(r.steps)-1]
		case strings.TrimSpace(plan.End):
			words := strings.Fields(rest)
			if step == nil || len(words) < 3 {
				return nil, fmt.Errorf("unexpected line %q", line)
			}
			step.ended = true
			step.code, step.seconds = words[len(words)-2], words[len(words)-1]
			if err := step.tests(body.String()); err != nil {
				return nil, err
			}
		}
	}
	if step != nil && !step.ended {
		step.code = "none"
		return r, step.tests(body.String())
	}
	return r, nil
}

// tests reads the output of a test binary.
func (s *stepResult) tests(text string) error {
	s.output = text
	c := exec.Command("go", "tool", "test2json")
	c.Stdin = strings.NewReader(text)
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("test2json: %w", err)
	}
	outputs := make(map[string]string)
	running := make(map[string]bool)
	decoder := json.NewDecoder(bytes.NewReader(out))
	for decoder.More() {
		var event struct{ Action, Test, Output string }
		if err := decoder.Decode(&event); err != nil {
			return err
		}
		if event.Test == "" {
			continue
		}
		switch event.Action {
		case "run":
			running[event.Test] = true
		case "output":
			outputs[event.Test] += event.Output
			continue
		case "pass":
			s.passed++
		case "fail":
			s.failed = append(s.failed, failure{event.Test, outputs[event.Test]})
		case "skip":
			s.skipped = append(s.skipped, skip{event.Test, reason(outputs[event.Test])})
		default:
			continue
		}
		if event.Action != "run" {
			delete(running, event.Test)
		}
	}
	for test := range running {
		s.failed = append(s.failed, failure{test + " (not ended)", outputs[test]})
	}
	return nil
}

// reason returns the last message of a test: why it is skipped, without the place in the source.
func reason(output string) string {
	last := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, message, ok := strings.Cut(line, ".go:"); ok {
			if _, message, ok = strings.Cut(message, ": "); ok {
				line = message
			}
		}
		last = line
	}
	return last
}
