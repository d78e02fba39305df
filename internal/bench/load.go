package bench

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// meter measures what the machine does beside those who are being measured.
type meter struct {
	start time.Time
	busy  time.Duration
}

func startMeter() meter {
	busy, _ := parseStat(machineStat())
	return meter{time.Now(), busy}
}

// others returns how many processors were busy with something else since the meter was started, on
// average, if those who are being measured took the processor time own. It is zero where the
// system does not tell, and can be a little less, as the system counts in ticks.
func (m meter) others(own time.Duration) float64 {
	busy, processors := parseStat(machineStat())
	if processors == 0 {
		return 0
	}
	return float64(busy-m.busy-own) / float64(time.Since(m.start))
}

// parseStat returns from the text of /proc/stat how long processors have been busy since the
// machine was started, and how many there are. Programs and threads of the kernel count, and what a
// hypervisor gave to others; not what interrupts took, which those who are being measured cause.
func parseStat(text string) (busy time.Duration, processors int) {
	const tick = time.Second / 100 // USER_HZ, the same on all machines that Go runs on
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || !strings.HasPrefix(words[0], "cpu"):
		case words[0] != "cpu":
			processors++
		default:
			// user, nice, system, idle, iowait, irq, softirq, steal
			for _, i := range []int{1, 2, 3, 8} {
				if i < len(words) {
					n, _ := strconv.ParseInt(words[i], 10, 64)
					busy += time.Duration(n) * tick
				}
			}
		}
	}
	return busy, processors
}

// disturbance says how busy the machine was with something else while the sides were measured, if
// that is a tenth of its processors or more, and not just a few ticks.
func disturbance(processors int, sides ...*Side) string {
	const share, least = 0.1, 50 * time.Millisecond
	var seconds, used float64
	for _, s := range sides {
		for _, x := range s.Samples {
			seconds += x.Seconds
			used += x.Seconds * x.Others
		}
	}
	if used < least.Seconds() || used < share*seconds*float64(processors) {
		return ""
	}
	return fmt.Sprintf("something else kept %.1f of %s busy meanwhile", used/seconds, Plural(processors, "processor"))
}

// Processors returns how many the machine has, zero where it does not tell.
func Processors() int {
	_, n := parseStat(machineStat())
	return n
}
