package uring

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"
)

// FuzzRing does what the fuzzer wants with both queues, from any position, and compares them with
// slices: what is put in comes out, once and in order, completions bit by bit.
func FuzzRing(f *testing.F) {
	for _, start := range starts {
		f.Add(start, []byte("\x00\x00\x01\x02\x03abcdefghijklmnop\x03ABCDEFGHIJKLMNOP\x0c\x14\x05\x06\x07"))
		f.Add(start, []byte("\x00\x00\x00\x01\x02\x06\x00\x01\x02\x07\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x0d"))
	}
	f.Fuzz(func(t *testing.T, start uint32, script []byte) {
		const sqEntries, cqEntries = 8, 16
		r, k := fakeRing(t, sqEntries, cqEntries, start, nil)
		var got, visible []uint64 // user data of entries that were got, and flushed
		var posted []CQE
		for next := uint64(1); len(script) > 0; next++ {
			op, arg := script[0]&7, int(script[0]>>3)
			script = script[1:]
			switch op {
			case 0:
				e := r.GetSQE()
				if room := len(got)+len(visible) < sqEntries; (e != nil) != room {
					t.Fatalf("GetSQE with %d and %d entries: got %v", len(got), len(visible), e)
				}
				if e != nil {
					e.PrepNop()
					e.SetUserData(next)
					got = append(got, next)
				}
			case 1:
				visible = append(visible, got...)
				got = nil
				if n := r.Flush(); n != uint32(len(visible)) {
					t.Fatalf("Flush: %d visible, want %d", n, len(visible))
				}
			case 2:
				e, ok := k.TakeSQE()
				if ok != (len(visible) > 0) || ok && e.UserData != visible[0] {
					t.Fatalf("the kernel takes %d, %v, want the first of %d", e.UserData, ok, visible)
				}
				if ok {
					visible = visible[1:]
				}
			case 3:
				var raw [16]byte
				script = script[copy(raw[:], script):]
				c := CQE{UserData: binary.LittleEndian.Uint64(raw[:]), Res: int32(binary.LittleEndian.Uint32(raw[8:])),
					Flags: CQEFlags(binary.LittleEndian.Uint32(raw[12:]))}
				if ok := k.PostCQE(c); ok != (len(posted) < cqEntries) {
					t.Fatalf("PostCQE behind %d: %v", len(posted), ok)
				} else if ok {
					posted = append(posted, c)
				}
			case 4:
				dst := make([]CQE, arg)
				n := r.CopyCQEs(dst)
				posted = reaped(t, posted, dst[:n], arg)
			case 5:
				dst := make([]*CQE, arg)
				n, err := r.PeekBatch(dst)
				if err != nil {
					t.Fatal(err)
				}
				seen := make([]CQE, n)
				for i, c := range dst[:n] {
					seen[i] = *c
				}
				posted = reaped(t, posted, seen, arg)
				r.AdvanceCQ(uint32(n))
			case 6:
				c, err := r.PeekCQE()
				if err != nil || (c != nil) != (len(posted) > 0) || c != nil && *c != posted[0] {
					t.Fatalf("PeekCQE: %+v, %v, want the first of %+v", c, err, posted)
				}
			case 7:
				var back []uint64
				r.Withdraw(func(e *SQE) { back = append(back, e.UserData) })
				if !slices.Equal(back, visible) {
					t.Fatalf("Withdraw: %d, want %d", back, visible)
				}
				got, visible = nil, nil
			}
			if r.SQReady() != uint32(len(visible)) || r.CQReady() != uint32(len(posted)) ||
				r.SQSpaceLeft() != uint32(sqEntries-len(got)-len(visible)) {
				t.Fatalf("%d visible, %d to reap, %d free; want %d, %d, %d", r.SQReady(), r.CQReady(), r.SQSpaceLeft(),
					len(visible), len(posted), sqEntries-len(got)-len(visible))
			}
		}
	})
}

// reaped compares completions that were taken, at most limit, with those posted, and returns the
// rest.
func reaped(t *testing.T, posted, got []CQE, limit int) []CQE {
	t.Helper()
	n := min(limit, len(posted))
	if !slices.Equal(got, posted[:n]) {
		t.Fatalf("reaped %+v, want %+v", got, posted[:n])
	}
	for i := range got {
		err := got[i].Err()
		if errno, ok := err.(syscall.Errno); (err != nil) != (got[i].Res < 0) || got[i].Res < 0 && (!ok || errno == 0 || errno.Error() == "") {
			t.Fatalf("Err of %d: %v", got[i].Res, err)
		}
	}
	return posted[n:]
}
