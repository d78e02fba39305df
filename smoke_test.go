package ringfile

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	if err := Available(); err != nil {
		t.Log(err)
	}
	name := filepath.Join(t.TempDir(), "f")
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	if err := WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(name)
	if err != nil || string(got) != string(data) {
		t.Fatal(err, len(got))
	}
	f, err := OpenFile(name, os.O_RDWR|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wg sync.WaitGroup
	for g := range 100 {
		wg.Go(func() {
			buf := AlignedBuffer(4096, 4096)
			for i := range 100 {
				off := int64((g*37+i*11)%256) * 4096
				n, err := f.ReadAt(buf, off)
				if err != nil || n != 4096 || string(buf) != string(data[off:off+4096]) {
					t.Error(n, err)
					return
				}
				fu := f.StartReadAt(buf, off)
				n, err = fu.Await()
				if err != nil || n != 4096 || string(buf) != string(data[off:off+4096]) {
					t.Error(n, err)
					return
				}
				ctx, c := context.WithTimeout(t.Context(), time.Second)
				n, err = f.ReadAtContext(ctx, buf, off)
				c()
				if err != nil || n != 4096 || string(buf) != string(data[off:off+4096]) {
					t.Error(n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	n, err := f.ReadAt(AlignedBuffer(8192, 4096), 1<<20-4096)
	if n != 4096 || err != io.EOF {
		t.Error(n, err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	e, _ := Default()
	t.Logf("%+v", e.Stats())
}
