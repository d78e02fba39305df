package serve

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

// TestHandler asks for what is there and what is not. A disk that hangs is in test/faults.
func TestHandler(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "www")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	for _, name := range []string{"www/sub/file", "secret"} {
		if err := os.WriteFile(filepath.Join(top, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	handler := Handler(e, dir, time.Minute)
	for _, c := range []struct {
		path, part string
		code       int
		want       []byte
	}{
		{"/sub/file", "", http.StatusOK, data},
		{"/sub/file", "bytes=1000-1999", http.StatusPartialContent, data[1000:2000]},
		{"/sub/file", "bytes=-7", http.StatusPartialContent, data[len(data)-7:]},
		{"/none", "", http.StatusNotFound, nil},
		{"/sub", "", http.StatusNotFound, nil},
		{"/../secret", "", http.StatusNotFound, nil},
		{"/sub/../../secret", "", http.StatusNotFound, nil},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = c.path
		if c.part != "" {
			r.Header.Set("Range", c.part)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got, _ := io.ReadAll(w.Result().Body)
		if w.Code != c.code || c.want != nil && !bytes.Equal(got, c.want) {
			t.Errorf("%s %s: %d and %d bytes, want %d and %d", c.path, c.part, w.Code, len(got), c.code, len(c.want))
		}
	}
	if s := e.Stats(); s.Ring+s.Cached+s.Blocking == 0 {
		t.Error("nothing was read by the engine")
	}
}
