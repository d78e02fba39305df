package fsys

import (
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/testutil"
)

// eachBackend runs test on an engine of each backend that there is.
func eachBackend(t *testing.T, c ringfile.Config, test func(t *testing.T, e *ringfile.Engine)) {
	for _, b := range []ringfile.Backend{ringfile.BackendURing, ringfile.BackendBlocking} {
		t.Run(b.String(), func(t *testing.T) {
			t.Setenv("RINGFILE_BACKEND", b.String())
			e, err := ringfile.New(c)
			if err != nil {
				t.Skip(err)
			}
			defer testutil.Watchdog(t, time.Minute+testutil.StressTime(t))()
			test(t, e)
			eventually(func() bool { return e.Stats().BlockingCalls == 0 })
			if err := e.Close(); err != nil {
				t.Errorf("Engine.Close: %v", err)
			}
		})
	}
}

// eventually waits until cond holds; the watchdog ends what never does.
func eventually(cond func() bool) {
	for !cond() {
		time.Sleep(time.Millisecond)
	}
}
