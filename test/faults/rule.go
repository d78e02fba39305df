package faults

import (
	"sync"
	"syscall"
	"time"
)

// Kind is what a request asks of the disk.
type Kind string

// The kinds of requests. Any, in a Rule, stands for all of them.
const (
	Any   Kind = ""
	Read  Kind = "read"
	Write Kind = "write"
	Flush Kind = "flush"
)

// Effect is what becomes of a request.
type Effect string

const (
	// Fail answers EIO; the request does nothing.
	Fail Effect = "fail"
	// Hang holds the request back until the rules change; then it is carried out. With a Delay the
	// disk drops all its rules by itself so long after they were set, whatever the process that uses it
	// is able to do by then.
	Hang Effect = "hang"
	// Slow carries the request out after Rule.Delay.
	Slow Effect = "slow"
)

// Rule says what becomes of certain requests. The first rule that applies decides.
type Rule struct {
	Effect Effect
	Kind   Kind
	From   int64         // first byte of the disk that the rule is about
	To     int64         // the byte after the last; zero: the end. Flushes are not asked for theirs
	Skip   int           // how many requests go unharmed first
	Count  int           // how many requests are hit; zero: all
	Delay  time.Duration // of Slow and Hang
}

func (r *Rule) appliesTo(kind Kind, off, n int64) bool {
	switch {
	case r.Kind != Any && r.Kind != kind:
		return false
	case kind == Flush:
		return true
	}
	return off+n > r.From && (r.To == 0 || off < r.To)
}

// Counts is what the disk has seen.
type Counts struct {
	Reads, Writes, Flushes int
	Failed                 int // requests answered EIO
	Hanging                int // requests held back now
}

// rulebook applies the rules to requests, from many goroutines.
type rulebook struct {
	mu      sync.Mutex
	rules   []Rule
	hits    []int
	changed chan struct{} // closed when the rules are replaced
	counts  Counts
}

// set replaces the rules and lets the requests go that hang.
func (b *rulebook) set(rules []Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
	}
	b.changed = make(chan struct{})
	b.rules = rules
	b.hits = make([]int, len(rules))
	changed := b.changed
	for _, r := range rules {
		if r.Effect == Hang && r.Delay > 0 {
			time.AfterFunc(r.Delay, func() { b.end(changed) })
		}
	}
}

// end drops the rules if they are still those that came with the channel.
func (b *rulebook) end(changed chan struct{}) {
	b.mu.Lock()
	same := b.changed == changed
	b.mu.Unlock()
	if same {
		b.set(nil)
	}
}

// meet counts a request, makes it wait as the rules say, and returns the error that they have for
// it.
func (b *rulebook) meet(kind Kind, off, n int64) syscall.Errno {
	b.mu.Lock()
	switch kind {
	case Read:
		b.counts.Reads++
	case Write:
		b.counts.Writes++
	case Flush:
		b.counts.Flushes++
	}
	var rule Rule
	for i := range b.rules {
		r := &b.rules[i]
		if !r.appliesTo(kind, off, n) {
			continue
		}
		b.hits[i]++
		if b.hits[i] > r.Skip && (r.Count == 0 || b.hits[i] <= r.Skip+r.Count) {
			rule = *r
			break
		}
	}
	defer b.mu.Unlock()
	switch rule.Effect {
	case Fail:
		b.counts.Failed++
		return syscall.EIO
	case Slow:
		b.mu.Unlock()
		time.Sleep(rule.Delay)
		b.mu.Lock()
	case Hang:
		changed := b.changed
		b.counts.Hanging++
		b.mu.Unlock()
		<-changed
		b.mu.Lock()
		b.counts.Hanging--
	}
	return 0
}

func (b *rulebook) seen() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}
