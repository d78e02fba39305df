// Package plan is what the kernel matrix and the guests that it boots agree on.
package plan

// The files of a guest, and the devices by which it is heard.
const (
	File    = "/plan.json"   // the Plan
	Modules = "/modules"     // where the kernel's modules lie
	Results = "/dev/ttyS1"   // the lines that start with Mark, and what the steps print
	Mark    = "@@ "          // starts a line of the guest's own
	Boot    = Mark + "boot " // is followed by the kernel's release
	Begin   = Mark + "begin "
	End     = Mark + "end "    // is followed by the step's name, exit code and seconds
	Feature = Mark + "have "   // is followed by a kind and a name: what the kernel has
	Kernel  = Mark + "kernel " // is followed by a complaint of the kernel's
	Done    = Mark + "done"    // is the last line
)

// The file systems of a guest, and its disk without one: name spaces 1, 2 and 3 of one polled NVMe
// controller.
const (
	RawDisk = "/dev/matrix-ns1"
	Ext4    = "/ext4"
	XFS     = "/xfs"
)

// Plan is what a guest does.
type Plan struct {
	Modules []string // in the order of loading
	Steps   []Step
}

// Step is one program that a guest runs.
type Step struct {
	Name    string
	Seconds int      // it may take; then it is made to dump its goroutines and killed
	Env     []string // beside what all steps have
	Argv    []string
}
