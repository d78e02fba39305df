package faults_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
	"github.com/ringfile/ringfile/stream"
	"github.com/ringfile/ringfile/test/faults"
)

// TestRangesEIO reads pieces of a file one of whose blocks cannot be read, as neighbours that go to the disk together: the
// error is that of the pieces in that block, and of no other.
func TestRangesEIO(t *testing.T) {
	const piece, passes = 1024, 20
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		modes(t, func(t *testing.T, flag int) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				f := open(t, e, name, flag)
				defer f.Close()
				defer set(t, d)
				set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Read, From: bad, To: bad + blockSize})
				for _, ctx := range []context.Context{context.Background(), t.Context()} {
					for _, unordered := range []bool{false, true} {
						turns := 0
						for b, err := range stream.Ranges(ctx, func(yield func(stream.Range) bool) {
							for range passes {
								dropCache(t, f)
								for off := int64(0); off < blocks*blockSize; off += piece {
									if !yield(stream.Range{File: f, Off: off, Len: piece}) {
										return
									}
								}
							}
						}, stream.RangesConfig{Unordered: unordered}) {
							turns++
							if b.Off/blockSize == badBlock {
								if checkEIO(t, err, "read", name); len(b.Data) != 0 {
									t.Errorf("%d bytes of the bad block", len(b.Data))
								}
							} else if err != nil {
								// The page cache may have it in one folio with the bad block, or the block layer in one request.
								checkEIO(t, err, "read", name)
								if flag != 0 {
									readAlone(t, f, b.Off, piece)
								}
							} else if len(b.Data) != piece || testutil.CheckPattern(b.Data, b.Off) >= 0 {
								t.Errorf("at %d: %d bytes, %v", b.Off, len(b.Data), err)
							}
						}
						if turns != passes*blocks*blockSize/piece {
							t.Errorf("%d turns", turns)
						}
					}
				}
			})
		})
	})
}

// readAlone reads what can be read, by itself.
func readAlone(t *testing.T, f *ringfile.File, off int64, n int) {
	t.Helper()
	p := ringfile.AlignedBuffer(n, blockSize)
	if _, err := f.ReadAt(p, off); err != nil || testutil.CheckPattern(p, off) >= 0 {
		t.Errorf("at %d, alone: %v", off, err)
	}
}

// TestRangesOnHangingDisk has a disk hang while much is read ahead of it: the loop ends with its context, on time, or when
// it is left, and what the disk does to the buffers afterwards hurts nobody.
func TestRangesOnHangingDisk(t *testing.T) {
	d := newDisk(t, faults.Config{FS: "ext4"})
	name, _ := onDisk(t, d)
	modes(t, func(t *testing.T, flag int) {
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			for _, leaves := range []bool{false, true} {
				f := open(t, e, name, flag)
				dropCache(t, f)
				defer set(t, d)
				ctx, cancel := context.WithCancel(context.Background())
				timely(t, "the loop", func() {
					turns, last := 0, error(nil)
					for b, err := range stream.Ranges(ctx, func(yield func(stream.Range) bool) {
						for i := int64(0); yield(stream.Range{File: f, Off: i * 5 % blocks * blockSize, Len: blockSize}); i++ {
							if i%blocks == 0 && turns < 100 { // later it might wait for the disk
								dropCache(t, f)
							}
						}
					}, stream.RangesConfig{}) {
						if turns, last = turns+1, err; err != nil {
							continue
						}
						if testutil.CheckPattern(b.Data, b.Off) >= 0 {
							t.Errorf("wrong data at %d", b.Off)
						}
						if turns == 100 {
							dropCache(t, f)
							set(t, d, faults.Rule{Effect: faults.Hang, Kind: faults.Read})
							time.AfterFunc(patience, cancel)
						}
						if turns == 110 && leaves {
							break
						}
					}
					if !leaves && !errors.Is(last, context.Canceled) {
						t.Errorf("the last turn had %v, want %v", last, context.Canceled)
					}
				})
				cancel()
				set(t, d)
				awaitQuiet(e)
				f.Close()
			}
		})
	})
}
