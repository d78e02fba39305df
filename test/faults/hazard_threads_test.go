package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfile/ringfile"
)

// threadBound is how many OS threads of Go an engine may have in system calls, as Config documents it:
// under pressure four times BlockingLimit, and for each device a few more on files and on names, and for short calls. The
// runtime has some of its own beside them.
func threadBound(c ringfile.Config, devices int) int {
	return 4*c.BlockingLimit + devices*2*(min(c.BlockingLimit, 32)+min(c.BlockingLimit, 64)) + runtime.GOMAXPROCS(0) + 8
}

// workerBound is how many kernel threads the rings may have: Config.Workers for each thread that submits,
// of the two kinds that the kernel keeps (io_uring_register(2), IORING_REGISTER_IOWQ_MAX_WORKERS), and one
// for each ring with SQPoll. Submitters are not locked to their threads.
func workerBound(c ringfile.Config, devices int) int {
	const submitters = 4 // threads that happened to submit, for a device
	return devices * (submitters*2*c.Workers + 1)
}

// caller is who calls a method: with a file, a buffer and names of its own.
type caller struct {
	e    *ringfile.Engine
	f    *ringfile.File // on the disk that hangs; a directory for the methods that want one
	o    *ringfile.File // another file there
	ctx  context.Context
	p    []byte
	off  int64
	name string // of f
	dir  string // where it is
	i    int
}

// zero stands for the zero value of an argument's type.
type zero struct{}

// arguments make the arguments of a method; nil if it has none.
type arguments func(c *caller) []any

var (
	buffer     arguments = func(c *caller) []any { return []any{c.p} }
	bufferAt   arguments = func(c *caller) []any { return []any{c.p, c.off} }
	vectorAt   arguments = func(c *caller) []any { return []any{[][]byte{c.p}, c.off} }
	withCtx    arguments = func(c *caller) []any { return []any{c.ctx} }
	entries    arguments = func(*caller) []any { return []any{-1} }
	length     arguments = func(c *caller) []any { return []any{c.off, int64(blockSize)} }
	lock       arguments = func(c *caller) []any { return append(length(c), ringfile.LockShared) }
	past       arguments = func(*caller) []any { return []any{time.Now().Add(patience)} }
	size       arguments = func(c *caller) []any { return []any{int64(sceneBlocks * blockSize)} }
	fileAlone  arguments = func(c *caller) []any { return []any{c.f} }
	fileBuffer arguments = func(c *caller) []any { return []any{c.f, c.p, c.off} }
	fileVector arguments = func(c *caller) []any { return []any{c.f, [][]byte{c.p}, c.off} }
	name       arguments = func(c *caller) []any { return []any{c.name} }
	fresh      arguments = func(c *caller) []any { return []any{filepath.Join(c.dir, fmt.Sprint("new", c.i))} }
	multi      arguments = func(c *caller) []any { return []any{[][]byte{c.p}, []int64{c.off}} }
)

// after puts a context before the arguments.
func after(args arguments) arguments {
	return func(c *caller) []any { return append([]any{c.ctx}, args(c)...) }
}

// fileMethods says how to call each method of *File. A method that is not here fails the test: whoever adds
// it says here how it is called, and learns whether its calls are counted.
var fileMethods = map[string]arguments{
	"Advise":           func(c *caller) []any { return []any{c.off, int64(blockSize), ringfile.AdviceDontNeed} },
	"Allocate":         func(c *caller) []any { return append(length(c), ringfile.AllocateZero) },
	"AtomicWriteUnits": nil, "Cached": length, "Chdir": nil, "Chmod": func(*caller) []any { return []any{fs.FileMode(0o600)} },
	"Chown": func(*caller) []any { return []any{0, 0} }, "Close": nil, "CloseContext": withCtx,
	"Datasync": nil, "DatasyncContext": withCtx, "Direct": nil, "DirectAlign": nil, "Dup": nil, "Engine": nil, "Fd": nil,
	"Lock": after(lock), "Name": nil, "NextData": func(c *caller) []any { return []any{c.off} }, "PunchHole": length, "Read": buffer, "ReadAt": bufferAt, "ReadAtContext": after(bufferAt),
	"ReadContext": after(buffer), "ReadDir": entries, "ReadFrom": func(c *caller) []any { return []any{c.o} },
	"ReadAtMulti": multi, "ReadAtMultiContext": after(multi), "Readdir": entries, "Readdirnames": entries,
	"ReadvAt": vectorAt, "ReadvAtContext": after(vectorAt),
	"Seek": func(*caller) []any { return []any{int64(0), 2} }, "SetDeadline": past, "SetReadDeadline": past,
	"SetWriteDeadline": past, "StartDatasync": nil, "StartReadAt": bufferAt, "StartReadvAt": vectorAt,
	"StartSync": nil, "StartWriteAt": bufferAt, "StartWritevAt": vectorAt, "Stat": nil, "Sync": nil,
	"SyncContext": withCtx, "SyscallConn": nil, "Truncate": size, "TryLock": lock, "Lockable": lock, "Unlock": length,
	"Write": buffer, "WriteAt": bufferAt, "WriteAtAtomic": bufferAt, "WriteAtContext": after(bufferAt), "WriteContext": after(buffer),
	"WriteString": func(*caller) []any { return []any{"text"} },
	"WriteTo":     func(c *caller) []any { return []any{c.o} },
	"Writeback":   length, "WritevAt": vectorAt, "WritevAtContext": after(vectorAt),
}

// batchMethods says how to call each method of *Batch. What it adds is run.
var batchMethods = map[string]arguments{
	"Datasync": fileAlone, "Len": nil, "ReadAt": fileBuffer, "ReadvAt": fileVector, "Reset": nil,
	"Result": func(*caller) []any { return []any{0} }, "Results": withCtx, "Run": nil, "RunContext": withCtx,
	"Sync": fileAlone, "WriteAt": fileBuffer, "WritevAt": fileVector,
}

// queueMethods says how to call each method of *ReadQueue, which reads something.
var queueMethods = map[string]arguments{
	"Leave": nil, "Next": nil, "ReadAt": fileBuffer, "Start": nil, "Wait": func(*caller) []any { return []any{-1} },
}

// futureMethods says how to call each method of *Future.
var futureMethods = map[string]arguments{"Await": nil, "AwaitContext": withCtx, "Cancel": nil, "Done": nil}

// engineMethods says how to call each method of *Engine. Close comes last.
var engineMethods = map[string]arguments{
	"Available": nil, "Backend": nil, "Close": nil, "Create": fresh,
	"Call": func(c *caller) []any {
		return []any{c.ctx, c.name, func() error {
			f, err := os.OpenFile(c.name, os.O_WRONLY|unix.O_DSYNC, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(c.p, c.off)
			return err
		}}
	},
	"CreateTemp": func(c *caller) []any { return []any{c.dir, ""} },
	"Adopt": func(c *caller) []any {
		f, err := os.Open(c.name)
		if err != nil {
			panic(err)
		}
		return []any{f}
	},
	"Open": name, "OpenFile": func(c *caller) []any { return append(fresh(c), os.O_RDWR|os.O_CREATE, fs.FileMode(0o600)) },
	"ReadFile": name, "Stats": nil,
	"WriteFile":    func(c *caller) []any { return append(fresh(c), c.p, fs.FileMode(0o600)) },
	"ReadFileInto": func(c *caller) []any { return []any{c.name, c.p} },
}

// invoke calls a method of v, and whatever there is to be called of what it returns.
func (c *caller) invoke(v any, method string, args arguments) {
	m := reflect.ValueOf(v).MethodByName(method)
	var in []reflect.Value
	if args != nil {
		for i, a := range args(c) {
			if _, ok := a.(zero); ok {
				in = append(in, reflect.Zero(m.Type().In(i)))
			} else {
				in = append(in, reflect.ValueOf(a))
			}
		}
	}
	for _, out := range m.Call(in) {
		switch r := out.Interface().(type) {
		case *ringfile.Future[int]:
			r.Await()
		case *ringfile.Future[struct{}]:
			r.Await()
		case iter.Seq2[int, ringfile.Result]:
			for range r {
			}
		case *ringfile.File:
			if r != nil {
				r.Close()
			}
		case *os.File:
			if r != nil {
				r.Close()
			}
		}
	}
}

// methodsOf returns the methods of v, and fails the test for those that the table lacks.
func methodsOf(t *testing.T, v any, table map[string]arguments) (names []string) {
	t.Helper()
	kind := reflect.TypeOf(v)
	known := maps.Clone(table)
	for i := range kind.NumMethod() {
		name := kind.Method(i).Name
		if _, ok := known[name]; !ok {
			t.Errorf("%v has the method %s, of which the test does not know how to call it", kind, name)
			continue
		}
		delete(known, name)
		names = append(names, name)
	}
	for name := range known {
		t.Logf("%v has no method %s (any more)", kind, name)
	}
	return names
}

// threadsEnv makes a process that which calls all methods: threads that a test before it has left idle
// would otherwise be taken for none.
const threadsEnv = "RINGFILE_HAZARD_THREADS"

// TestHazardThreads: whatever is called on a disk that hangs, and however often, the number of OS threads
// stays below the bound that Config documents.
func TestHazardThreads(t *testing.T) {
	if os.Getenv(threadsEnv) != "" {
		c := ringfile.Config{Rings: 1, BlockingLimit: 8, Workers: 4, CloseTimeout: patience}
		engines(t, c, func(t *testing.T, e *ringfile.Engine) { callAll(t, c, e) })
		return
	}
	for _, kind := range engineKinds {
		t.Run(kind.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestHazardThreads$/^"+kind.name+"$")
			cmd.Env = append(os.Environ(), threadsEnv+"=1")
			out, err := cmd.CombinedOutput()
			switch {
			case err != nil:
				t.Errorf("%v\n%s", err, out)
			case bytes.Contains(out, []byte("--- SKIP")):
				t.Skipf("%s", out)
			default:
				for line := range strings.Lines(string(out)) {
					if strings.Contains(line, "threads") {
						t.Log(strings.TrimSpace(line))
					}
				}
			}
		})
	}
}

// callAll calls every method many times on a disk that hangs, and counts threads.
func callAll(t *testing.T, c ringfile.Config, e *ringfile.Engine) {
	const callers = 40 // more than 4*BlockingLimit
	d := narrowDisk(t)
	s := newScene(t, e, d)
	defer os.Chdir("/")
	var open []interface{ Close() error }
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	type todo struct {
		what string
		do   func()
	}
	var all []todo
	add := func(v any, table map[string]arguments, on func(c *caller, method string)) {
		for _, method := range methodsOf(t, v, table) {
			if method == "Close" && v == any(e) {
				continue
			}
			for i := range callers {
				c := s.caller(ctx, method, i)
				open = append(open, c.f, c.o)
				all = append(all, todo{fmt.Sprintf("%T.%s", v, method), func() { on(c, method) }})
			}
		}
	}
	add((*ringfile.File)(nil), fileMethods, func(c *caller, method string) { c.invoke(c.f, method, fileMethods[method]) })
	add((*ringfile.Batch)(nil), batchMethods, func(c *caller, method string) {
		var b ringfile.Batch
		if strings.HasPrefix(method, "Res") || strings.HasPrefix(method, "Run") {
			b.ReadAt(c.f, c.p, c.off)
			b.Sync(c.f)
		}
		c.invoke(&b, method, batchMethods[method])
		b.Run()
	})
	add((*ringfile.ReadQueue)(nil), queueMethods, func(c *caller, method string) {
		q := ringfile.NewReadQueue(c.ctx)
		q.ReadAt(c.f, c.p, c.off)
		if c.invoke(q, method, queueMethods[method]); method != "Leave" {
			q.Wait(-1)
			q.Leave()
		}
	})
	add((*ringfile.Future[int])(nil), futureMethods, func(c *caller, method string) {
		c.invoke(c.f.StartWriteAt(c.p, c.off), method, futureMethods[method])
	})
	add(e, engineMethods, func(c *caller, method string) { c.invoke(e, method, engineMethods[method]) })

	// A commit of the journal hangs, too, so that calls about names and sizes wait for it.
	dirty, err := os.OpenFile(s.name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	open = append(open, dirty)
	dirty.WriteAt([]byte("x"), sceneBlocks*blockSize)
	chill(t, dirty)
	release := fill(t, d, 4*hungFor)
	defer release()
	go dirty.Sync()
	time.Sleep(20 * time.Millisecond)
	before, _ := threads()
	bound := before + threadBound(c, 2)

	ended := make(chan struct{}, len(all))
	over := map[string]bool{}
	var most, workers int
	for i, todo := range all {
		go func() {
			todo.do()
			ended <- struct{}{}
		}()
		if (i+1)%callers != 0 {
			continue
		}
		start := time.Now()
		time.Sleep(15 * time.Millisecond)
		if took := time.Since(start); took > givenUp {
			t.Errorf("the process stood still for %v after %d calls of %s", took, callers, todo.what)
		}
		ours, kernels := threads()
		if ours > most && ours > bound && !over[todo.what] {
			t.Errorf("%d OS threads after %d calls of each method up to %s: want %d at most", ours, callers, todo.what, bound)
			over[todo.what] = true
			bound = ours // the next to be named takes more
		}
		most, workers = max(most, ours), max(workers, kernels)
	}
	t.Logf("%d calls on a disk that hangs: %d threads before, %d at most (bound %d), and %d kernel threads of the rings",
		len(all), before, most, before+threadBound(c, 2), workers)
	if limit := workerBound(c, 2); workers > limit {
		t.Errorf("%d kernel threads of the rings: want %d at most", workers, limit)
	}
	done := make(chan struct{})
	go func() {
		e.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(givenUp):
		t.Errorf("Engine.Close with a CloseTimeout of %v has not returned after %v", c.CloseTimeout, givenUp)
	}
	cancel()
	release()
	for range all {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("the disk works again, but 20 s later there are still calls that have not returned")
		}
	}
}

// caller opens what a caller needs.
func (s *scene) caller(ctx context.Context, method string, i int) *caller {
	s.t.Helper()
	c := &caller{e: s.e, ctx: ctx, off: offset(i), name: s.name, dir: filepath.Dir(s.name), i: i}
	c.p = aligned(s.t, blockSize)
	flag, name := os.O_RDWR, s.name
	switch {
	case strings.HasPrefix(strings.ToLower(method), "readdir"), method == "Chdir":
		flag, name = os.O_RDONLY, c.dir
	case i%2 == 0 && method != "ReadFrom" && method != "WriteTo":
		flag |= unix.O_DIRECT
	}
	var err error
	if c.f, err = s.e.OpenFile(name, flag, 0); err != nil {
		s.t.Fatal(err)
	}
	if c.o, err = s.e.OpenFile(s.name, os.O_RDWR, 0); err != nil {
		s.t.Fatal(err)
	}
	return c
}
