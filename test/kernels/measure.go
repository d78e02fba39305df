package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringfile/ringfile/test/kernels/plan"
)

// measuring has the guests measure, instead of test.
var measuring bool

// measureSteps are what each guest runs with -measure. The emulated disk is a thread of the host's: on
// a host with as many cores as a guest has processors, it gets one to itself only while the guest
// leaves one idle, as programs do that use one P.
func measureSteps() (list []plan.Step) {
	for _, procs := range []string{"GOMAXPROCS=1", fmt.Sprint("GOMAXPROCS=", processors)} {
		list = append(list, test("ringfile", "polling, "+procs, 150, []string{procs, "RINGFILE_MEASURE=" + plan.Ext4},
			"-test.run=^TestMeasurePolling$"))
	}
	return list
}

// runs is the directory of the guests' logs. Those of tests are kept for -logs.
func runs() string {
	if measuring {
		return "measured"
	}
	return "run"
}

// atATime is how many guests run at once.
func atATime() int {
	if measuring {
		return 1
	}
	return 2
}

// threads is how QEMU runs the processors: in one thread in turns, as with a thread for each new
// kernels crash in one boot of fifty. When measuring they must run at once: one that polls would
// keep the other from running for the whole of its turn.
func threads() string {
	if measuring {
		return "multi"
	}
	return "single"
}

// preferTime is after which time of its life QEMU has its threads.
const preferTime = 2 * time.Second

// measured returns the tables that the guests of rows printed, and whether anything failed.
func measured(rows []*row) (report string, failed bool) {
	var b strings.Builder
	for _, r := range rows {
		for _, fault := range r.faults() {
			failed = true
			fmt.Fprintf(&b, "FAIL %s: %s\n", r.series, fault)
		}
		if r.results == nil {
			continue
		}
		for _, s := range r.steps {
			fmt.Fprintf(&b, "\nLinux %s, emulated, %d processors, %s:\n\n",
				strings.TrimSuffix(r.release, flavour), processors, s.name)
			for line := range strings.Lines(s.output) {
				if strings.HasPrefix(line, "|") {
					b.WriteString(line)
				}
			}
			for _, skipped := range s.skipped {
				failed = true
				fmt.Fprintf(&b, "FAIL %s: %s skipped: %s\n", r.series, skipped.test, skipped.reason)
			}
		}
	}
	return b.String() + "\n", failed
}
