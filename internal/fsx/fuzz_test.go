//go:build linux

package fsx

import (
	"testing"

	"github.com/ringfile/ringfile"
)

// FuzzRun lets the fuzzer decide what Run does, on each route.
func FuzzRun(f *testing.F) {
	var engines []*ringfile.Engine
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		f.Setenv("RINGFILE_BACKEND", b.String())
		e, err := ringfile.New(ringfile.Config{Rings: 1, Depth: 16})
		if err != nil {
			f.Logf("no %s backend: %v", b, err)
			continue
		}
		f.Cleanup(func() { e.Close() })
		engines = append(engines, e)
	}
	total := 0
	for _, op := range operations {
		// Each kind of operation twice, around a write, with a few decisions.
		program := make([]byte, 0, 64)
		for _, at := range []int{total, 380, total} {
			program = append(program, byte(at>>8), byte(at), 1, 2, 13, 9, 3, 40, 2, 70, 5)
		}
		f.Add(program)
		total += op.weight
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		for _, e := range engines {
			s := &script{program[:min(len(program), 2000)]}
			if _, err := run(t.Context(), Options{Engine: e, Dir: t.TempDir(), Ops: 200, Size: 64 << 10, Direct: 4}, s); err != nil {
				t.Fatal(err)
			}
		}
	})
}
