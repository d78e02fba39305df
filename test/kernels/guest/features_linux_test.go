package guest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/ringfile/ringfile/test/kernels/plan"
	"github.com/ringfile/ringfile/uring"
)

// TestFeatures tells the matrix what this kernel has. That is compared there, so that nothing goes
// missing without being noticed.
func TestFeatures(t *testing.T) {
	needGuest(t)
	r, err := uring.New(uring.Config{Entries: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	have := func(kind string, name fmt.Stringer) {
		os.Stdout.WriteString(plan.Feature + kind + " " + name.String() + "\n")
	}
	for bit := range 32 {
		if f := uring.Features(1) << bit; r.Features().Has(f) {
			have("feature", f)
		}
	}
	p, err := r.Probe()
	if err != nil {
		t.Fatal(err)
	}
	for op := range uring.Op(255) {
		if p.Supports(op) {
			have("op", op)
		}
	}
	for _, flags := range setups {
		switch err := trySetup(flags); {
		case err == nil:
			have("setup", flags)
		case !errors.Is(err, syscall.EINVAL):
			t.Errorf("%v: %v", flags, err)
		}
	}
}

// setups are the flags to ask for, with those that they need.
var setups = []uring.SetupFlags{
	uring.SetupIOPoll, uring.SetupSQPoll, uring.SetupSQPoll | uring.SetupSQAff, uring.SetupClamp,
	uring.SetupRDisabled, uring.SetupSubmitAll, uring.SetupCoopTaskrun,
	uring.SetupCoopTaskrun | uring.SetupTaskrunFlag, uring.SetupSQE128, uring.SetupCQE32,
	uring.SetupSingleIssuer, uring.SetupSingleIssuer | uring.SetupDeferTaskrun,
	uring.SetupNoSQArray, uring.SetupIOPoll | uring.SetupSQPoll, uring.SetupIOPoll | uring.SetupHybridIOPoll,
	uring.SetupIOPoll | uring.SetupSingleIssuer | uring.SetupDeferTaskrun,
	uring.SetupSQPoll | uring.SetupSingleIssuer, uring.SetupCQEMixed, uring.SetupSQEMixed,
	uring.SetupNoSQArray | uring.SetupSQRewind,
}
