package ringfile_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringfile/ringfile"
)

// TestAdopt reads and writes through a File and through the *os.File that it was made of, in turn: they have one
// position.
func TestAdopt(t *testing.T) {
	for name, flag := range map[string]int{"plain": 0, "append": os.O_APPEND} {
		t.Run(name, func(t *testing.T) {
			routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
				std, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE|flag, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				f := e.Adopt(std)
				want := ""
				for i := range 100 {
					part := string(rune('a' + i%26))
					if want += part; i%3 == 0 {
						_, err = std.WriteString(part)
					} else {
						_, err = f.WriteString(part)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := f.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				got, p := "", make([]byte, 7)
				for i := 0; ; i++ {
					var n int
					if i%2 == 0 {
						n, err = std.Read(p)
					} else {
						n, err = f.Read(p)
					}
					if got += string(p[:n]); err != nil {
						break
					}
				}
				if got != want || err != io.EOF {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
				if _, err := std.Write([]byte("x")); err == nil {
					t.Error("the adopted file is not closed with the File")
				}
			})
		})
	}
}

// TestAdoptNil adopts nothing.
func TestAdoptNil(t *testing.T) {
	if f, err := ringfile.Adopt(nil); f != nil || err != fs.ErrInvalid {
		t.Errorf("Adopt(nil) = %v, %v", f, err)
	}
	e, err := ringfile.Default()
	if err != nil {
		t.Fatal(err)
	}
	if e.Adopt(nil) != nil {
		t.Error("a File of nothing")
	}
}
