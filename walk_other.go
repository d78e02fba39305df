//go:build !linux

package ringfile

import "os"

// list reads a directory and describes what is in it.
func (w *walk) list(path string) ([]walkEntry, error) {
	defer w.engine.leaveCall(w.engine.enterCall())
	entries, err := os.ReadDir(path)
	all := sorted(entries)
	for i := range all {
		all[i].info, all[i].err = all[i].DirEntry.Info()
	}
	return all, err
}
