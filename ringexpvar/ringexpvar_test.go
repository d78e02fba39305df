package ringexpvar_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/ringexpvar"
)

func Example() {
	engine, err := ringfile.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	ringexpvar.Publish("example", engine) // now in /debug/vars
	fmt.Println(expvar.Get("example") != nil)
	// Output: true
}

func TestPublish(t *testing.T) {
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ringexpvar.Publish("test", e)
	if err := e.WriteFile(filepath.Join(t.TempDir(), "file"), []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	var s ringfile.Stats
	if err := json.Unmarshal([]byte(expvar.Get("test").String()), &s); err != nil {
		t.Fatal(err)
	}
	if s.BlockingBytes+s.RingBytes != 5 {
		t.Errorf("published %+v, want the 5 bytes that were written", s)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second Publish of the same name: want a panic")
		}
	}()
	ringexpvar.Publish("test", e)
}
