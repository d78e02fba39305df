package ringfile

import (
	"syscall"
	"testing"
	"time"

	"github.com/ringfile/ringfile/uring"
)

// TestRestricted asks the rings of an engine, the first one and later ones, for what no engine asks for.
func TestRestricted(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":  {},
		"SQPoll": {SQPoll: &SQPollConfig{Idle: time.Millisecond}},
		"IOPoll": {IOPoll: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.Backend = BackendURing
			t.Setenv("RINGFILE_BACKEND", "")
			e, err := New(c)
			if err != nil {
				t.Skip(err)
			}
			defer e.Close()
			s := e.Stats()
			if s.Restricted != s.Rings || s.Rings != 1 {
				t.Fatalf("%d of %d rings are restricted: Linux 5.10 can do that", s.Restricted, s.Rings)
			}
			first := e.devices.rings.spare
			second, _, err := e.devices.rings.make(first)
			if err != nil {
				t.Fatal(err)
			}
			defer second.Close()
			for _, u := range []*uring.Ring{first, second} {
				for _, prep := range []func(e *uring.SQE){
					func(e *uring.SQE) { e.PrepClose(-1) },
					func(e *uring.SQE) { e.PrepNop(); e.SetFlags(uring.SQEIOLink) },
				} {
					prep(u.GetSQE())
					if _, err := u.SubmitAndWait(1); err != nil {
						t.Fatal(err)
					}
					cqe, err := u.PeekCQE()
					if err != nil || cqe == nil || cqe.Res != -int32(syscall.EACCES) {
						t.Fatalf("%+v, %v, want EACCES", cqe, err)
					}
					u.CQESeen(cqe)
				}
				if err := u.RegisterFiles([]int32{-1}); err == nil {
					t.Error("files can be registered")
				}
			}
		})
	}
}
