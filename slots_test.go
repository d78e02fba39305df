package ringfile

import "testing"

// TestSlotLookup finds requests by the user_data of their slots, and nothing by any other.
func TestSlotLookup(t *testing.T) {
	const n = 16
	var s slots
	if err := s.init(n); err != nil {
		t.Fatal(err)
	}
	for range n {
		req := new(request)
		s.take(req)
		slot, old := req.slot, req.slot.id()
		if s.find(old) != req {
			t.Fatal("a request in flight is not found")
		}
		s.release(req)
		if req.slot != nil || s.find(old) != nil || s.find(slot.id()) != nil {
			t.Error("a request is found that has no slot any more")
		}
		s.take(req) // the same slot again
		if req.slot != slot || s.find(old) != nil || s.find(slot.id()) != req {
			t.Error("the number of an earlier life is taken for the present one")
		}
		slot.gen = 1<<16 - 1
		s.release(req)
		s.take(req) // the generation wraps within the 16 bits
		if slot.gen != 0 || s.find(slot.id()) != req {
			t.Error("a request is lost when the generation wraps")
		}
	}
	if len(s.free) != 0 {
		t.Fatalf("%d slots are free", len(s.free))
	}
	base := s.all[0].id()
	size := (s.all[n-1].id() - base) / (n - 1)
	for _, id := range []uint64{0, idCancel, base - 1, base + 1, base - size, base + n*size, ^uint64(0), base + size/2} {
		if s.find(id) != nil {
			t.Errorf("%#x leads to a slot", id)
		}
	}
}
