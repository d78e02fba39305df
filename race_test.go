package ringfile_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/race"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestRaceReported runs programs that touch a buffer while it belongs to an operation, under the
// race detector, and expects its report; and one that does not, and expects none.
func TestRaceReported(t *testing.T) {
	if !race.Enabled {
		t.Skip("needs -race")
	}
	if err := ringfile.Available(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name string
		want bool
	}{
		{"read-before-await/ReadAt", true}, {"read-before-await/ReadvAt", true},
		{"write-before-await/ReadAt", true}, {"write-before-await/ReadvAt", true},
		{"write-before-await/WriteAt", true}, {"write-before-await/WritevAt", true},
		{"read-before-await/WriteAt", false}, {"read-before-await/WritevAt", false}, // both only read
		{"await-first/ReadAt", false}, {"await-first/ReadvAt", false},
		{"await-first/WriteAt", false}, {"await-first/WritevAt", false},
		{"done-first/ReadAt", false}, {"done-first/WriteAt", false},
		{"cancel-first/ReadAt", true}, {"cancel-first/ReadvAt", true},
		{"goroutine/ReadAt", true}, {"goroutine/WriteAt", true},
		{"context/ReadAt", false}, {"context/WriteAt", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "RINGFILE_TEST_CHILD=race", "RACE_CASE="+c.name,
				"RACE_FILE="+testutil.PatternFile(t, 1<<20), "GORACE=exitcode=66")
			out, err := cmd.CombinedOutput()
			got := strings.Contains(string(out), "WARNING: DATA RACE")
			if got != c.want {
				t.Errorf("race reported: %v, want %v (%v)\n%s", got, c.want, err, out)
			}
		})
	}
}

func init() {
	children["race"] = func() int {
		f, err := ringfile.OpenFile(os.Getenv("RACE_FILE"), os.O_RDWR|oDirect, 0)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer f.Close()
		warm := ringfile.AlignedBuffer(4096, 4096)
		f.ReadAt(warm, 0) // from here on the file system is known, and transfers go through the ring
		touch, call, _ := strings.Cut(os.Getenv("RACE_CASE"), "/")
		raceCase(f, touch, call)
		return 0
	}
}

// raceCase starts a transfer of a buffer, and touches the buffer at the given time.
func raceCase(f *ringfile.File, touch, call string) {
	buf := ringfile.AlignedBuffer(8192, 4096)
	vec := [][]byte{buf[:4096], buf[4096:]}
	start := func() *ringfile.Future[int] {
		switch call {
		case "ReadAt":
			return f.StartReadAt(buf, 0)
		case "ReadvAt":
			return f.StartReadvAt(vec, 0)
		case "WriteAt":
			return f.StartWriteAt(buf, 0)
		}
		return f.StartWritevAt(vec, 0)
	}
	read := func() {
		sum := 0
		for _, b := range buf[4096:] {
			sum += int(b)
		}
		fmt.Println(sum)
	}
	write := func() {
		for i := range buf[4096:] {
			buf[4096+i] = 1
		}
	}
	switch touch {
	case "read-before-await":
		future := start()
		read()
		future.Await()
	case "write-before-await":
		future := start()
		write()
		future.Await()
	case "await-first":
		start().Await()
		write()
	case "done-first":
		future := start()
		<-future.Done()
		write()
	case "cancel-first": // which does not give the buffer back
		future := start()
		future.Cancel()
		write()
		future.Await()
	case "goroutine": // a call that waits, in another goroutine
		var wg sync.WaitGroup
		wg.Go(func() {
			if call == "ReadAt" {
				f.ReadAt(buf, 0)
			} else {
				f.WriteAt(buf, 0)
			}
		})
		write()
		wg.Wait()
	case "context": // the buffer is copied, and the caller's at once when it leaves
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		if call == "ReadAt" {
			f.ReadAtContext(ctx, buf, 0)
		} else {
			f.WriteAtContext(ctx, buf, 0)
		}
		write()
	}
}
