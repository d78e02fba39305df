// Log shows a durable log in use: many goroutines append, each waits until its record is durable, and they share the
// syncs. Package wal is the log.
//
//	cd examples
//	go run ./log /var/tmp/example.log                  # 64 goroutines append 10,000 records
//	go run ./log -writers 1 /var/tmp/example.log       # one writer: a sync for each record
//	go run ./log -print /var/tmp/example.log           # prints the records
//
// Kill it at any time (kill -9, or the power switch) and run it again: all acknowledged records are there, and a half
// written one is cut off.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfile/ringfile/examples/log/wal"
)

func main() {
	log.SetFlags(0)
	writers := flag.Int("writers", 64, "goroutines that append")
	records := flag.Int("records", 10_000, "records to append in all")
	show := flag.Bool("print", false, "print the records instead")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *writers, *records, *show); err != nil {
		log.Fatal(err)
	}
}

func run(name string, writers, records int, show bool) error {
	l, err := wal.Open(name)
	if err != nil {
		return err
	}
	defer l.Close()
	if n := l.Cut(); n > 0 {
		fmt.Printf("%d bytes of an interrupted append were cut off\n", n)
	}
	if show {
		return l.Replay(func(seq uint64, record []byte) error {
			_, err := fmt.Printf("%d: %s\n", seq, record)
			return err
		})
	}
	before := 0
	if err := l.Replay(func(uint64, []byte) error { before++; return nil }); err != nil {
		return err
	}
	fmt.Printf("%d records are there\n", before)
	asked, shared := l.Stats()
	start := time.Now()
	if err := appendAll(l, writers, records); err != nil {
		return err
	}
	took := time.Since(start)
	asked2, shared2 := l.Stats()
	fmt.Printf("%d records appended by %d goroutines in %v, %.0f a second, with %d syncs\n", records, writers,
		took.Round(time.Millisecond), float64(records)/took.Seconds(), asked2-asked-(shared2-shared))
	return nil
}

// appendAll has goroutines append records until there are n more.
func appendAll(l *wal.Log, writers, n int) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		group.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(n) {
					return
				}
				if _, err := l.Append(fmt.Appendf(nil, "record %d, of goroutine %d", i, w)); err != nil {
					errs <- err
					return
				}
				// Now the record is safe, and others may be told.
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs // nil if there is none
}
