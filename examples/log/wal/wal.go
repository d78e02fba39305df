// Package wal is a log whose records are durable once they have been appended: a write-ahead log, as
// small as it can be. It is an example, meant to be read and changed.
//
// # Group commit
//
// Append writes a record and makes it durable with [ringfile.File.Datasync]. Goroutines that do this at
// the same time share the system calls: a goroutine that asks for a sync while one is running is served
// by the next one, together with all others that have asked in the meantime. So there is no queue and
// no committing goroutine here.
//
// # Format
//
// A record has a header of 16 bytes, little-endian, and a payload:
//
//	length of the payload   uint32
//	checksum                uint32, CRC-32C of the length, the sequence number and the payload
//	sequence number         uint64, 1 for the first record
//
// # Recovery
//
// A power cut may leave any part of the data that had not been synced: part of a record, or a complete
// later record without an earlier one. Open reads up to the first incomplete record and cuts off the
// rest. This loses no record for which Append has returned nil: that record was durable, and so were
// all before it.
package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/ringfile/ringfile"
)

const headerSize = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Log is a log in a file. Its methods are safe for concurrent use. Only one Log per file may be open,
// across all processes.
type Log struct {
	f   *ringfile.File
	cut int64 // bytes that Open has cut off

	mu   sync.Mutex // held for a write, so that records are written in order
	end  int64      // of the last record that has been written whole
	torn error      // of the write behind that, which ends the log
	seq  uint64     // of the last record
	last *commit    // of the last record
	buf  []byte
}

// commit is how an Append ended.
type commit struct {
	done chan struct{} // closed at the end
	err  error         // valid from then on
}

// Open opens the named log, creating it if it does not exist, and cuts off what an interrupted Append
// has left.
func Open(name string) (_ *Log, err error) {
	f, err := ringfile.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l := &Log{f: f, last: &commit{done: make(chan struct{})}}
	close(l.last.done)
	l.end, err = scan(f, info.Size(), func(seq uint64, _ []byte) error {
		l.seq = seq
		return nil
	})
	if err != nil {
		return nil, err // of the disk: what cannot be read now must not be cut off
	}
	l.cut = info.Size() - l.end
	if l.cut > 0 {
		if err := f.Truncate(l.end); err != nil {
			return nil, err
		}
	}
	// The records may be in memory only, where a program that was killed has left them. Nobody is to act on what a
	// power cut can still take away. The same goes for the name of a log that is new.
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(name))); err != nil {
		return nil, err
	}
	return l, nil
}

// syncDir makes the names in a directory safe.
func syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := ringfile.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Append adds a record to the log and returns its sequence number. When it returns nil, the record and
// all before it are durable. When it fails, the record may or may not be in the log, and all later
// calls fail. After a failed sync, reads may return data that is in memory only, until that memory is
// needed for something else: copy the records to a new log on a working disk, with Replay, and do not
// open this one again.
//
// Append takes no context. An abandoned sync may fail later, when nobody is left to learn of it; see
// docs/durability.md.
func (l *Log) Append(record []byte) (seq uint64, err error) {
	if uint64(len(record)) > math.MaxUint32 {
		return 0, errors.New("wal: the record is too long")
	}
	own := &commit{done: make(chan struct{})}
	l.mu.Lock()
	before := l.last
	if err = l.torn; err == nil {
		err = before.failed()
	}
	if err != nil {
		l.mu.Unlock()
		return 0, err
	}
	l.last = own
	l.seq++
	seq = l.seq
	l.buf = appendRecord(l.buf[:0], seq, record)
	_, err = l.f.WriteAt(l.buf, l.end) // to the page cache: the disk is waited for without the lock
	if l.torn = err; err == nil {
		l.end += int64(len(l.buf))
	}
	l.mu.Unlock()

	if err == nil {
		err = l.f.Datasync()
	}
	// A record that cannot be read ends the log for all behind it, and that it could not be written the system tells
	// once: to the sync of that record, perhaps, and not to the later one of this. So a record is safe when those
	// before it are.
	<-before.done
	if before.err != nil {
		err = before.err
	}
	own.err = err
	close(own.done)
	return seq, err
}

// failed returns the error of an Append that has failed, nil if it has not, or not yet.
func (c *commit) failed() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Replay calls each with every record, in order, that was in the log when Replay was called; records
// whose Append has not returned, or whose sync has failed, may be among them. It stops at the first
// error of each. The record is valid only during the call.
func (l *Log) Replay(each func(seq uint64, record []byte) error) error {
	l.mu.Lock()
	end := l.end
	l.mu.Unlock()
	got, err := scan(l.f, end, each)
	if err == nil && got < end {
		err = fmt.Errorf("wal: no valid record at %d of %s", got, l.f.Name())
	}
	return err
}

// Cut returns how many bytes of an interrupted Append Open has cut off.
func (l *Log) Cut() int64 { return l.cut }

// Stats returns how many syncs were requested, and how many of them needed no system call of their own.
// All files of the program are counted.
func (l *Log) Stats() (syncs, shared uint64) {
	s := l.f.Engine().Stats()
	return s.Syncs, s.SharedSyncs
}

// Close closes the log. Nothing needs to be saved.
func (l *Log) Close() error { return l.f.Close() }

// appendRecord appends a record in the format of the file to p.
func appendRecord(p []byte, seq uint64, record []byte) []byte {
	start := len(p)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(record)))
	p = binary.LittleEndian.AppendUint32(p, 0)
	p = binary.LittleEndian.AppendUint64(p, seq)
	p = append(p, record...)
	binary.LittleEndian.PutUint32(p[start+4:], checksum(p[start:start+headerSize], record))
	return p
}

func checksum(header, record []byte) uint32 {
	sum := crc32.Update(0, castagnoli, header[:4])
	sum = crc32.Update(sum, castagnoli, header[8:headerSize])
	return crc32.Update(sum, castagnoli, record)
}

// scan calls each with the records at the beginning of a file of the given size, and returns where the last one
// that is whole ends. It fails if the file cannot be read, or with an error of each.
func scan(f io.ReaderAt, size int64, each func(seq uint64, record []byte) error) (end int64, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 256<<10)
	var header [headerSize]byte
	var record []byte
	for seq := uint64(1); size-end >= headerSize; seq++ {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return end, err
		}
		n := int64(binary.LittleEndian.Uint32(header[:]))
		if n > size-end-headerSize || binary.LittleEndian.Uint64(header[8:]) != seq {
			break
		}
		if int64(cap(record)) < n {
			record = make([]byte, n)
		}
		record = record[:n]
		if _, err := io.ReadFull(r, record); err != nil {
			return end, err
		}
		if checksum(header[:], record) != binary.LittleEndian.Uint32(header[4:]) {
			break
		}
		if err := each(seq, record); err != nil {
			return end, err
		}
		end += headerSize + n
	}
	return end, nil
}
