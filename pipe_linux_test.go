package ringfile_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile"
)

// blockingPipe returns a pipe whose reading end, a File of e, is in blocking mode.
func blockingPipe(t *testing.T, e *ringfile.Engine) (*ringfile.File, *os.File) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return e.NewFile(os.NewFile(uintptr(p[0]), "pipe")), os.NewFile(uintptr(p[1]), "pipe")
}
