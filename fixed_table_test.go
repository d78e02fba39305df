package ringfile

import "testing"

// TestFixedTable looks up slices that lie in registered memory, beside it, and half in it.
func TestFixedTable(t *testing.T) {
	mem := AlignedBuffer(5*4096, 4096)
	base := address(mem)
	table := newFixedTable([]fixedRange{
		{base + 3*4096, base + 4*4096, 7}, // the higher one first
		{base + 4096, base + 2*4096, 2},
	})
	for _, c := range []struct {
		name     string
		from, to int
		slot     uint16
		ok       bool
	}{
		{"all of the lower", 4096, 8192, 2, true},
		{"its end", 8191, 8192, 2, true},
		{"all of the higher", 3 * 4096, 4 * 4096, 7, true},
		{"its middle", 3*4096 + 100, 3*4096 + 200, 7, true},
		{"below", 0, 4096, 0, false},
		{"half below", 4000, 4200, 0, false},
		{"one byte too many", 4096, 8193, 0, false},
		{"between", 8192, 3 * 4096, 0, false},
		{"half between", 8192, 3*4096 + 512, 0, false},
		{"both", 4096, 4 * 4096, 0, false},
		{"behind", 4 * 4096, 5 * 4096, 0, false},
		{"half behind", 4*4096 - 512, 4*4096 + 512, 0, false},
	} {
		slot, ok := table.find(mem[c.from:c.to])
		if ok != c.ok || ok && slot != c.slot {
			t.Errorf("%s: slot %d, %v, want %d, %v", c.name, slot, ok, c.slot, c.ok)
		}
	}
	if newFixedTable(nil) != nil {
		t.Error("a table of nothing")
	}
}
