package faults_test

import (
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/test/faults"
)

// TestWritebackFails: data that Writeback could not have written is reported by the next sync. Writeback does not
// take that report away, however often it is called.
func TestWritebackFails(t *testing.T) {
	fileSystems(t, func(t *testing.T, d *faults.Disk) {
		name, bad := onDisk(t, d)
		routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
			f := open(t, e, name, 0)
			defer f.Close()
			const off = badBlock * blockSize
			set(t, d, faults.Rule{Effect: faults.Fail, Kind: faults.Write, From: bad, To: bad + blockSize})
			defer set(t, d)
			before := counts(t, d).Failed
			if _, err := f.WriteAt(patterned(t, blockSize, 1<<40), off); err != nil {
				t.Fatal(err)
			}
			if synced, err := f.Writeback(off, blockSize); synced || err != nil {
				t.Errorf("Writeback = %v, %v", synced, err)
			}
			await(func() bool { return counts(t, d).Failed > before })
			for range 3 {
				if synced, err := f.Writeback(0, 0); synced || err != nil {
					t.Errorf("Writeback after the failure = %v, %v", synced, err)
				}
			}
			checkEIO(t, f.Datasync(), "sync", name)
			set(t, d)
			if _, err := f.WriteAt(patterned(t, blockSize, off), off); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Errorf("the disk works again: %v", err)
			}
		})
	})
}
