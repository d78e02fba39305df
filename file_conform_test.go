package ringfile_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// TestMethodSet checks that File has each method of os.File, with the same signature: one that a
// later Go adds shows up here.
func TestMethodSet(t *testing.T) {
	std, own := reflect.TypeFor[*os.File](), reflect.TypeFor[*ringfile.File]()
	if std.NumMethod() < 20 {
		t.Errorf("os.File has %d methods, which cannot be all", std.NumMethod())
	}
	for i := range std.NumMethod() {
		want := std.Method(i)
		got, ok := own.MethodByName(want.Name)
		switch {
		case !ok:
			t.Errorf("File has no method %s", want.Name)
		case signature(got) != signature(want):
			t.Errorf("%s is %v, want %v", want.Name, signature(got), signature(want))
		}
	}
}

// signature returns the type of a method without its receiver.
func signature(m reflect.Method) reflect.Type {
	var in, out []reflect.Type
	for i := 1; i < m.Type.NumIn(); i++ {
		in = append(in, m.Type.In(i))
	}
	for i := range m.Type.NumOut() {
		out = append(out, m.Type.Out(i))
	}
	return reflect.FuncOf(in, out, m.Type.IsVariadic())
}

// callAll calls each method that os.File has on std and own, with zero arguments where that is
// possible, and compares what they return. A panic is a result, too.
func callAll(t *testing.T, std *os.File, own *ringfile.File) {
	t.Helper()
	call := func(f any, name string) (out []any, panicked bool) {
		m := reflect.ValueOf(f).MethodByName(name)
		var in []reflect.Value
		for i := range m.Type().NumIn() {
			switch typ := m.Type().In(i); typ {
			case reflect.TypeFor[io.Reader]():
				in = append(in, reflect.ValueOf(strings.NewReader("text")))
			case reflect.TypeFor[io.Writer]():
				in = append(in, reflect.ValueOf(io.Discard))
			default:
				in = append(in, reflect.Zero(typ))
			}
		}
		defer func() { panicked = recover() != nil }()
		for _, v := range m.Call(in) {
			out = append(out, v.Interface())
		}
		return out, false
	}
	typ := reflect.TypeOf(std)
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		want, wantPanic := call(std, name)
		got, gotPanic := call(own, name)
		if gotPanic != wantPanic || len(got) != len(want) {
			t.Errorf("%s: got %v, panic %v; want %v, panic %v", name, got, gotPanic, want, wantPanic)
			continue
		}
		for i := range want {
			if v := reflect.ValueOf(want[i]); v.IsValid() && v.Kind() == reflect.Slice {
				if v.Len() != reflect.ValueOf(got[i]).Len() {
					t.Errorf("%s: got %v, want %v", name, got[i], want[i])
				}
				continue
			}
			if wantErr, ok := want[i].(error); ok {
				gotErr, _ := got[i].(error)
				if diff := differ(gotErr, wantErr); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			} else if name != "SyscallConn" && name != "Name" && !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s: got %v, want %v", name, got[i], want[i])
			}
		}
	}
}

// TestNilFile checks each method on a nil receiver.
func TestNilFile(t *testing.T) {
	callAll(t, nil, nil)
}

// TestClosedFile checks each method after Close, by kind of file.
func TestClosedFile(t *testing.T) {
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		for name, open := range map[string]func() (*os.File, error){
			"regular":   func() (*os.File, error) { return os.Open(testutil.PatternFile(t, 10)) },
			"append":    func() (*os.File, error) { return os.OpenFile(testutil.PatternFile(t, 10), os.O_APPEND|os.O_RDWR, 0) },
			"directory": func() (*os.File, error) { return os.Open(t.TempDir()) },
			"device":    func() (*os.File, error) { return os.Open(os.DevNull) },
			"pipe": func() (*os.File, error) {
				r, w, err := os.Pipe()
				if err == nil {
					err = w.Close()
				}
				return r, err
			},
		} {
			t.Run(name, func(t *testing.T) {
				std, err := open()
				if err != nil {
					t.Fatal(err)
				}
				f, err := open()
				if err != nil {
					t.Fatal(err)
				}
				own := e.Adopt(f)
				if err := std.Close(); err != nil {
					t.Fatal(err)
				}
				if err := own.Close(); err != nil {
					t.Fatal(err)
				}
				prefix = [2]string{own.Name(), std.Name()}
				callAll(t, std, own)
			})
		}
	})
}

// forms is a File as a reader whose methods are those of another form.
type forms struct {
	*ringfile.File
	ctx context.Context
}

func (f forms) Read(p []byte) (int, error) { return f.ReadContext(f.ctx, p) }

func (f forms) ReadAt(p []byte, off int64) (int, error) { return f.ReadAtContext(f.ctx, p, off) }

// futures is a File as a reader through futures.
type futures struct{ *ringfile.File }

func (f futures) ReadAt(p []byte, off int64) (int, error) { return f.StartReadAt(p, off).Await() }

// TestReader gives File to testing/iotest.
func TestReader(t *testing.T) {
	const size = 5_003 // a prime: no length divides it
	want := make([]byte, size)
	testutil.Pattern(want, 0)
	routes(t, ringfile.Config{}, func(t *testing.T, e *ringfile.Engine) {
		open := func(t *testing.T, flag int) *ringfile.File {
			f, err := e.OpenFile(testutil.PatternFile(t, size), flag, 0)
			if err != nil {
				t.Skipf("no O_DIRECT here: %v", err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for name, reader := range map[string]func(t *testing.T) io.Reader{
			"plain":   func(t *testing.T) io.Reader { return open(t, os.O_RDONLY) },
			"context": func(t *testing.T) io.Reader { return forms{open(t, os.O_RDONLY), ctx} },
			"future":  func(t *testing.T) io.Reader { return futures{open(t, os.O_RDONLY)} },
			"deadline": func(t *testing.T) io.Reader {
				f := open(t, os.O_RDONLY)
				if err := f.SetDeadline(time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				return f
			},
			"direct": func(t *testing.T) io.Reader {
				f := open(t, os.O_RDONLY|oDirect)
				align, err := f.DirectAlign()
				if err != nil {
					t.Skip(err)
				}
				return &aligned{file: f, align: max(align.Memory, align.Offset)}
			},
		} {
			t.Run(name, func(t *testing.T) {
				if err := iotest.TestReader(reader(t), want); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// aligned reads a file opened with O_DIRECT at any offset, and keeps a position of its own.
type aligned struct {
	file  *ringfile.File
	align int
	pos   int64
}

func (a *aligned) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return a.file.ReadAt(p, off)
	}
	size := int64(a.align)
	start := off / size * size
	end := (off + int64(len(p)) + size - 1) / size * size
	buf := ringfile.AlignedBuffer(int(end-start), a.align)
	n, err := a.file.ReadAt(buf, start)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if start+int64(n) <= off {
		n = 0
	} else {
		n = copy(p, buf[off-start:n])
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}

func (a *aligned) Read(p []byte) (int, error) {
	n, err := a.ReadAt(p, a.pos)
	a.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (a *aligned) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += a.pos
	case io.SeekEnd:
		st, err := a.file.Stat()
		if err != nil {
			return 0, err
		}
		offset += st.Size()
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	a.pos = offset
	return offset, nil
}
