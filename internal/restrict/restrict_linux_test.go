package restrict_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile/internal/measure"
	"github.com/ringfile/ringfile/internal/restrict"
	"github.com/ringfile/ringfile/uring"
)

// restricted returns a ring for nops, alone or linked, and skips the test where there is none.
func restricted(t testing.TB, flags uring.SetupFlags) *uring.Ring {
	u, err := uring.New(uring.Config{Entries: 64, Flags: flags, Wanted: restrict.Wanted()})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { u.Close() })
	ok, err := restrict.Enable(u, uring.SQEIOLink, uring.OpNop)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Skip("needs Linux 5.10")
	}
	return u
}

func TestEnable(t *testing.T) {
	for name, flags := range map[string]uring.SetupFlags{"plain": 0, "SQPOLL": uring.SetupSQPoll} {
		t.Run(name, func(t *testing.T) {
			u := restricted(t, flags)
			for _, c := range []struct {
				name string
				prep func(e *uring.SQE)
				want int32
			}{
				{"nop", func(e *uring.SQE) { e.PrepNop() }, 0},
				{"nop with an allowed flag", func(e *uring.SQE) { e.PrepNop(); e.SetFlags(uring.SQEIOLink) }, 0},
				{"nop with another flag", func(e *uring.SQE) { e.PrepNop(); e.SetFlags(uring.SQEAsync) }, -int32(syscall.EACCES)},
				{"another operation", func(e *uring.SQE) { e.PrepFsync(0, 0) }, -int32(syscall.EACCES)},
			} {
				c.prep(u.GetSQE())
				if _, err := u.SubmitAndWait(1); err != nil {
					t.Fatal(err)
				}
				cqe, err := u.PeekCQE()
				if err != nil || cqe == nil || cqe.Res != c.want {
					t.Fatalf("%s: %+v, %v, want %d", c.name, cqe, err, c.want)
				}
				u.CQESeen(cqe)
			}
			if _, err := u.Probe(); err != nil {
				t.Error(err)
			}
			if err := u.RegisterFilesSparse(1); err == nil {
				t.Error("a table of files can be registered")
			}
		})
	}
}

// TestMeasureRestricted has the kernel carry out nops, 32 at a time, on a ring with and without restrictions: in
// no other request is what they cost a larger part.
func TestMeasureRestricted(t *testing.T) {
	measure.Dir(t)
	side := func(name string, u *uring.Ring) measure.Side {
		return measure.Side{Name: name, Run: func() (ops int, err error) {
			var cqes [32]uring.CQE
			for ; ops < 1<<20; ops += len(cqes) {
				for range cqes {
					u.GetSQE().PrepNop()
				}
				if _, err := u.Submit(); err != nil {
					return ops, err
				}
				if n := u.CopyCQEs(cqes[:]); n != len(cqes) {
					return ops, fmt.Errorf("%d completions", n)
				}
			}
			return ops, nil
		}}
	}
	plain, err := uring.New(uring.Config{Entries: 64})
	if err != nil {
		t.Skip(err)
	}
	defer plain.Close()
	measure.Header()
	measure.Compare(t, "nops, 32 at a time", side("plain", plain), side("restricted", restricted(t, 0)))
}
