package ringfile_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/ringfile/ringfile"
)

// An engine whose requests are picked up by a kernel thread, for a program that reads all the time.
func ExampleConfig_sqPoll() {
	dir, err := os.MkdirTemp("", "ringfile")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	e, err := ringfile.New(ringfile.Config{SQPoll: &ringfile.SQPollConfig{Idle: 50 * time.Millisecond}})
	if err != nil { // no io_uring, or not in this mode: the program can use the default engine
		if e, err = ringfile.New(ringfile.Config{}); err != nil {
			log.Fatal(err)
		}
	}
	defer e.Close()
	name := filepath.Join(dir, "greeting")
	if err := e.WriteFile(name, []byte("hello, thread"), 0o644); err != nil {
		log.Fatal(err)
	}
	data, err := e.ReadFile(name)
	fmt.Println(string(data), err)
	// Output: hello, thread <nil>
}

// An engine that polls the device, with O_DIRECT: on a device without poll queues the first transfer
// fails with an error that says so.
func ExampleConfig_ioPoll() {
	e, err := ringfile.New(ringfile.Config{IOPoll: true})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	f, err := e.OpenFile("/dev/nvme0n1", os.O_RDONLY|oDirect, 0) // syscall.O_DIRECT
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	buf := ringfile.AlignedBuffer(4096, 4096)
	if _, err := f.ReadAt(buf, 0); errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err) // give the driver poll queues, or use an engine without IOPoll
	}
}
