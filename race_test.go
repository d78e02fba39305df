package ringfile_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
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
	}{{"read-before-await", true}, {"write-during-write", true}, {"await-first", false}} {
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
		buf := ringfile.AlignedBuffer(4096, 4096)
		switch os.Getenv("RACE_CASE") {
		case "read-before-await":
			future := f.StartReadAt(buf, 0)
			sum := 0
			for _, b := range buf {
				sum += int(b)
			}
			future.Await()
			fmt.Println(sum)
		case "write-during-write":
			future := f.StartWriteAt(buf, 0)
			for i := range buf {
				buf[i] = 1
			}
			future.Await()
		case "await-first":
			future := f.StartReadAt(buf, 0)
			future.Await()
			buf[0]++
		}
		return 0
	}
}
