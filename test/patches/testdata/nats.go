package kit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestKit(t *testing.T) {
	w := kitAsked(t)
	switch w.Name {
	case "votes":
		kitVotes(t, w)
	case "publish":
		kitPublish(t, w)
	case "load":
		kitLoad(t, w)
	}
}

// kitVotes writes the votes of as many Raft groups, as BenchmarkWriteTermVote does.
func kitVotes(t *testing.T, w kitWork) {
	dirs := make(chan string, w.Goroutines)
	for i := range w.Goroutines {
		dir := filepath.Join(w.Dir, fmt.Sprint("raft-", i))
		if err := os.MkdirAll(dir, defaultDirPerms); err != nil {
			t.Fatal(err)
		}
		dirs <- dir
	}
	dios := defaultDiskIOSemaphore()
	w.measure(t, func(i int) {
		dir := <-dirs
		if err := writeTermVote(dios, dir, fmt.Appendf(nil, "%*d", termVoteLen, i)); err != nil {
			t.Error(err)
		}
		dirs <- dir
	})
}

// kitStream opens a stream.
func kitStream(t *testing.T, dir string) *fileStore {
	s, err := newFileStore(FileStoreConfig{StoreDir: dir, BlockSize: 256 << 10},
		StreamConfig{Name: "s", Subjects: []string{"s"}, Storage: FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kitPublish stores messages in as many streams as there are goroutines, with sync_interval: always.
func kitPublish(t *testing.T, w kitWork) {
	streams := make(chan *fileStore, w.Goroutines)
	for i := range w.Goroutines {
		s := kitStream(t, filepath.Join(w.Dir, fmt.Sprint("stream-", i)))
		s.syncAlways.Store(true)
		streams <- s
	}
	msg := make([]byte, 256)
	w.measure(t, func(int) {
		s := <-streams
		if _, _, err := s.StoreMsg("s", nil, msg, 0); err != nil {
			t.Error(err)
		}
		streams <- s
	})
}

// kitLoad loads a message from each of many blocks, none of which is in the page cache.
func kitLoad(t *testing.T, w kitWork) {
	dir := filepath.Join(w.Dir, "blocks")
	_, missing := os.Stat(dir)
	s := kitStream(t, dir)
	if missing != nil {
		for s.numMsgBlocks() <= w.Ops {
			if _, _, err := s.StoreMsg("s", nil, make([]byte, 16<<10), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Stop()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kitEvict(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s = kitStream(t, dir)
	defer s.Stop()
	w.measure(t, func(i int) {
		if _, err := s.LoadMsg(s.blks[i].first.seq, new(StoreMsg)); err != nil {
			t.Error(err)
		}
	})
}
