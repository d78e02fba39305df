package kit

import (
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestKit looks up items of a table of half a gigabyte.
func TestKit(t *testing.T) {
	w := kitAsked(t)
	name := filepath.Join(w.Dir, "table")
	var readOnly atomic.Bool
	random := rand.New(rand.NewSource(1))
	if _, err := os.Stat(name); err != nil {
		table := MustOpenTable(name, 0, nil, 0, nil, &readOnly)
		for range 8_000_000 {
			item := fmt.Appendf(nil, "%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
			table.AddItems([][]byte{item})
		}
		table.MustClose()
	}
	err := filepath.WalkDir(name, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kitEvict(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	table := MustOpenTable(name, 0, nil, 0, nil, &readOnly)
	defer table.MustClose()
	keys := make([][]byte, w.Ops)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%016x", random.Uint64())
	}
	w.measure(t, func(_, i int) {
		var search TableSearch
		search.Init(table, false)
		defer search.MustClose()
		search.Seek(keys[i])
		if !search.NextItem() && search.Error() != nil {
			t.Error(search.Error())
		}
	})
}
