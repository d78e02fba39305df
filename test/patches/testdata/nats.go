package kit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKit(t *testing.T) {
	w := kitAsked(t)
	switch what, _, _ := strings.Cut(w.Name, ","); what {
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
	dirs := make([]string, w.Goroutines)
	for i := range w.Goroutines {
		dirs[i] = filepath.Join(w.Dir, fmt.Sprint("raft-", i))
		if err := os.MkdirAll(dirs[i], defaultDirPerms); err != nil {
			t.Fatal(err)
		}
	}
	dios := defaultDiskIOSemaphore()
	w.measure(t, func(g, i int) {
		if err := writeTermVote(dios, dirs[g], fmt.Appendf(nil, "%*d", termVoteLen, i)); err != nil {
			t.Error(err)
		}
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
	streams := make([]*fileStore, w.Goroutines)
	for i := range streams {
		streams[i] = kitStream(t, filepath.Join(w.Dir, fmt.Sprint("stream-", i)))
		streams[i].syncAlways.Store(true)
	}
	msg := make([]byte, 256)
	w.measure(t, func(g, _ int) {
		if _, _, err := streams[g].StoreMsg("s", nil, msg, 0); err != nil {
			t.Error(err)
		}
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
	w.measure(t, func(_, i int) {
		if _, err := s.LoadMsg(s.blks[i].first.seq, new(StoreMsg)); err != nil {
			t.Error(err)
		}
	})
}
