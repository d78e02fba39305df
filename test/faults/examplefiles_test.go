package faults_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/examples/files/serve"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestExampleFilesHang serves files with examples/files, some of a file server that does not answer: each request for
// one of those is answered or cut off in time, and the others are served meanwhile, within a bounded number of threads.
func TestExampleFilesHang(t *testing.T) {
	const requests = 300
	server, dir := newSilentServer(t)
	top := t.TempDir()
	want := testutil.PatternBytes(blockSize)
	if err := os.WriteFile(filepath.Join(top, "healthy"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(top, "silent")); err != nil {
		t.Fatal(err)
	}
	routes(t, ringfile.Config{BlockingLimit: 16}, func(t *testing.T, e *ringfile.Engine) {
		web := httptest.NewServer(serve.Handler(e, top, time.Second))
		defer web.Close()
		client := web.Client()
		get := func(path string) (code int, body []byte, err error) {
			r, err := client.Get(web.URL + path)
			if err != nil {
				return 0, nil, err
			}
			defer r.Body.Close()
			body, err = io.ReadAll(r.Body)
			return r.StatusCode, body, err
		}
		for _, path := range []string{"/healthy", "/silent/file"} { // now the engine knows what is on which device
			if code, body, err := get(path); code != http.StatusOK || len(body) != blockSize || err != nil {
				t.Fatalf("%s: %d, %d bytes, %v", path, code, len(body), err)
			}
		}
		for _, kind := range []string{"open", "read"} {
			t.Run(kind, func(t *testing.T) {
				defer server.hold("")
				server.hold(kind)
				before, _ := threads()
				var group sync.WaitGroup
				for range requests {
					group.Go(func() {
						start := time.Now()
						code, body, err := get("/silent/file")
						took := time.Since(start)
						if err == nil && code != http.StatusServiceUnavailable || len(body) == blockSize || took > onTime {
							t.Errorf("%d, %d bytes, %v, after %v", code, len(body), err, took)
						}
					})
				}
				await(func() bool { return server.held() > 0 })
				served := 0 // some may be late, as the machine is busy
				for range 20 {
					if code, body, err := get("/healthy"); code == http.StatusOK && bytes.Equal(body, want) && err == nil {
						served++
					}
				}
				if served < 15 {
					t.Errorf("%d of 20 requests were served beside it", served)
				}
				if now, _ := threads(); now-before > 100 {
					t.Errorf("%d threads, %d before", now, before)
				}
				group.Wait()
				server.hold("")
				awaitQuiet(e)
				if code, body, err := get("/silent/file"); code != http.StatusOK || len(body) != blockSize || err != nil {
					t.Errorf("when it answers again: %d, %d bytes, %v", code, len(body), err)
				}
			})
		}
		web.Close()
		awaitQuiet(e)
	})
}
