package faults_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// A record of the log: magic, checksum of all that follows, length in bytes, sequence number, then
// a payload that follows from the sequence number.
const (
	recordMagic  = 0x676f6c77
	recordHeader = 24
)

// appendRecord appends record seq with n bytes of payload to p.
func appendRecord(p []byte, seq uint64, n int) []byte {
	start := len(p)
	p = binary.LittleEndian.AppendUint32(p, recordMagic)
	p = binary.LittleEndian.AppendUint32(p, 0)
	p = binary.LittleEndian.AppendUint64(p, uint64(n))
	p = binary.LittleEndian.AppendUint64(p, seq)
	for i := range n {
		p = append(p, byte(uint64(i)*31+seq*17)|1)
	}
	binary.LittleEndian.PutUint32(p[start+4:], crc32.ChecksumIEEE(p[start+8:]))
	return p
}

// parseRecord returns the sequence number and the length of the record at the head of p; 0, 0 if
// there is no whole one.
func parseRecord(p []byte) (seq uint64, size int) {
	if len(p) < recordHeader || binary.LittleEndian.Uint32(p) != recordMagic {
		return 0, 0
	}
	n := binary.LittleEndian.Uint64(p[8:])
	if n > uint64(len(p)-recordHeader) {
		return 0, 0
	}
	size = recordHeader + int(n)
	if crc32.ChecksumIEEE(p[8:size]) != binary.LittleEndian.Uint32(p[4:]) {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(p[16:]), size
}

// readRecords returns the sequence number of the last of the valid records at the head of a log.
// Between records there may be zeros, up to the next multiple of align.
func readRecords(p []byte, align int) (last uint64) {
	for off := 0; off+recordHeader <= len(p); {
		if off%align != 0 && p[off] == 0 { // no record begins so
			off += align - off%align
			continue
		}
		seq, n := parseRecord(p[off:])
		if seq != last+1 {
			return last
		}
		last = seq
		off += n
	}
	return last
}

// walMode is a way to write a log.
type walMode struct {
	name     string
	flag     int
	align    int // of writes
	prealloc int64
	write    func(f *ringfile.File, p []byte, off int64) error
	sync     func(f *ringfile.File) error
}

func writeAt(f *ringfile.File, p []byte, off int64) error { _, err := f.WriteAt(p, off); return err }

func startWriteAt(f *ringfile.File, p []byte, off int64) error {
	// Two halves at the same time: both must be there before the sync starts.
	half := len(p) / 2 / 512 * 512
	a, b := f.StartWriteAt(p[:half], off), f.StartWriteAt(p[half:], off+int64(half))
	_, err1 := a.Await()
	_, err2 := b.Await()
	return errors.Join(err1, err2)
}

func startDatasync(f *ringfile.File) error { _, err := f.StartDatasync().Await(); return err }

func workloads() (all []workload) {
	for _, m := range []walMode{
		{name: "buffered", align: 1, write: writeAt, sync: (*ringfile.File).Datasync},
		{name: "direct", flag: unix.O_DIRECT, align: 4096, write: writeAt, sync: (*ringfile.File).Datasync},
		{name: "direct, preallocated", flag: unix.O_DIRECT, align: 4096, prealloc: 4 << 20, write: writeAt, sync: (*ringfile.File).Datasync},
		{name: "futures", align: 1, write: startWriteAt, sync: startDatasync},
		{name: "direct futures", flag: unix.O_DIRECT, align: 4096, write: startWriteAt, sync: startDatasync},
		{name: "O_DSYNC", flag: unix.O_DSYNC, align: 1, write: writeAt, sync: noSync},
		{name: "direct futures, O_DSYNC, preallocated", flag: unix.O_DIRECT | unix.O_DSYNC, align: 4096, prealloc: 4 << 20, write: startWriteAt, sync: noSync},
	} {
		all = append(all, logging(m))
	}
	return append(all, replacing("replace", durableReplace),
		sharing("shared syncs", (*ringfile.File).Datasync), sharing("shared syncs of futures", startDatasync))
}

// controls are what would be wrong, and must be found out.
func controls() []workload {
	return []workload{
		logging(walMode{name: "buffered, no sync", align: 1, write: writeAt, sync: noSync}),
		logging(walMode{name: "direct, no sync", flag: unix.O_DIRECT, align: 4096, write: writeAt, sync: noSync}),
		replacing("replace, no sync", replaceWithoutSync),
		sharing("shared, no sync", noSync),
	}
}

// logging is a workload that appends records to a log.
func logging(m walMode) workload {
	return workload{m.name, m.writeLog, m.checkLog}
}

// writeLog writes batches of records to the log in dir, and acknowledges them by the sequence number
// of the last one.
func (mode walMode) writeLog(e *ringfile.Engine, dir string, rng *rand.Rand, acknowledge func(seq uint64) error) (uint64, error) {
	f, err := e.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE|mode.flag, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if mode.prealloc > 0 {
		if err := f.Allocate(0, mode.prealloc, 0); err != nil {
			return 0, err
		}
	}
	// The file itself must be there after a power cut: its inode, and its name in the directory.
	if err := errors.Join(f.Sync(), syncDir(e, dir)); err != nil {
		return 0, err
	}
	if err := acknowledge(0); err != nil {
		return 0, err
	}
	buf, err := unix.Mmap(-1, 0, 256<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(buf)
	var off int64
	var seq uint64
	for range 100 {
		p := buf[:0]
		for range 1 + rng.IntN(4) {
			seq++
			p = appendRecord(p, seq, 1+rng.IntN(6000))
		}
		for len(p)%mode.align != 0 {
			p = append(p, 0)
		}
		if err := mode.write(f, p, off); err != nil {
			return seq, err
		}
		off += int64(len(p))
		if err := mode.sync(f); err != nil {
			return seq, err
		}
		if err := acknowledge(seq); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

// sharing is a workload in which several append to one log, one after the other, and sync it at the same time.
func sharing(name string, syncFile func(f *ringfile.File) error) workload {
	run := func(e *ringfile.Engine, dir string, _ *rand.Rand, acknowledge func(uint64) error) (uint64, error) {
		return writeShared(e, dir, syncFile, acknowledge)
	}
	return workload{name, run, walMode{align: 1}.checkLog}
}

func writeShared(e *ringfile.Engine, dir string, syncFile func(f *ringfile.File) error, acknowledge func(uint64) error) (uint64, error) {
	const writers, records = 16, 400
	f, err := e.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), syncDir(e, dir), acknowledge(0)); err != nil {
		return 0, err
	}
	var order, ack sync.Mutex
	var seq, promised uint64
	var group errgroup.Group
	for range writers {
		group.Go(func() error {
			for {
				order.Lock()
				if seq == records {
					order.Unlock()
					return nil
				}
				seq++
				own := seq
				_, err := f.Write(appendRecord(nil, own, 100+int(own*37%900)))
				order.Unlock()
				if err := errors.Join(err, syncFile(f)); err != nil {
					return err
				}
				ack.Lock()
				if own > promised { // and with it all before
					promised = own
					err = acknowledge(own)
				}
				ack.Unlock()
				if err != nil {
					return err
				}
			}
		})
	}
	err = group.Wait()
	return promised, err
}

// syncDir makes the names in a directory safe.
func syncDir(e *ringfile.Engine, dir string) error {
	d, err := e.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkLog returns an error if the log in dir lacks one of the first records.
func (mode walMode) checkLog(dir string, records uint64) error {
	f, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if last := readRecords(p, mode.align); last < records {
		return &lostError{records, last, fmt.Sprintf("a log of %d bytes", len(p))}
	}
	return nil
}

// TestRecords checks the reader of the log, without which no loss is ever found.
func TestRecords(t *testing.T) {
	var p []byte
	var ends []int
	for seq := uint64(1); seq <= 3; seq++ {
		p = appendRecord(p, seq, 512-recordHeader-int(seq)) // leaves fewer bytes than a word
		ends = append(ends, len(p))
		for len(p)%512 != 0 {
			p = append(p, 0)
		}
	}
	if got := readRecords(p, 512); got != 3 {
		t.Errorf("whole: got %d records, want 3", got)
	}
	for cut := range len(p) {
		want := uint64(0)
		for _, end := range ends {
			if end <= cut {
				want++
			}
		}
		if got := readRecords(p[:cut], 512); got != want {
			t.Errorf("cut at %d: got %d records, want %d", cut, got, want)
		}
	}
	for i := range p {
		torn := append([]byte(nil), p...)
		torn[i] ^= 0x80
		want := uint64(i / 512)
		if i >= ends[i/512] {
			continue // between records
		}
		if got := readRecords(torn, 512); got != want {
			t.Errorf("byte %d changed: got %d records, want %d", i, got, want)
		}
	}
}
