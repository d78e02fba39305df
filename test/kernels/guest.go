package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ringfile/ringfile/test/kernels/plan"
)

// programs are the binaries that all guests get, by name.
type programs map[string][]byte

// steps are those of allSteps that were asked for, or what is to be measured.
func steps() (list []plan.Step) {
	if measuring {
		return measureSteps()
	}
	for _, s := range allSteps() {
		if strings.HasPrefix(s.Name, onlySteps) {
			list = append(list, s)
		}
	}
	return list
}

// onlySteps is the start of the names of the steps to run.
var onlySteps string

// test is a step that runs a test binary.
func test(binary, name string, seconds int, env []string, args ...string) plan.Step {
	args = append([]string{"/" + binary + ".test", "-test.short", "-test.v",
		fmt.Sprintf("-test.timeout=%ds", seconds-10)}, args...)
	return plan.Step{Name: name, Seconds: seconds, Argv: args,
		Env: append([]string{"RINGFILE_POLL_DIR=" + plan.Ext4 + ":" + plan.XFS}, env...)}
}

// allSteps are what each guest runs. On a loaded machine they take several times of what they take on
// an idle one.
func allSteps() []plan.Step {
	ext4, xfs := []string{"TMPDIR=" + plan.Ext4}, []string{"TMPDIR=" + plan.XFS}
	return []plan.Step{
		test("guest", featureStep, 300, ext4),
		test("uring", "uring", 300, ext4),
		// Without what does not depend on the kernel, makes file systems of its own, or measures: that
		// is for the host.
		test("ringfile", "ringfile on ext4", 600, ext4, "-test.skip="+forTheHost),
		test("fsys", "fsys on ext4", 300, ext4, "-test.skip="+forTheHost),
		test("chain", "chain on ext4", 300, ext4, "-test.skip="+forTheHost),
		test("durable", "durable on ext4", 300, ext4),
		// What depends on the file system.
		test("ringfile", "ringfile on xfs", 600, xfs, "-test.skip=^TestStorm|"+forTheHost,
			"-test.run=^Test(FileOps|IOPoll|Batch|ReadAtMulti|Future|SQPoll)"),
		test("stream", "stream on ext4", 300, ext4, "-test.skip=^TestMeasure|^TestReader|^TestWriterRandom$|^TestUncached/^refused$"),
		test("stream", "stream on xfs", 300, xfs, "-test.run=^TestWriter", "-test.skip=^TestWriterRandom$"),
		test("copyfile", "copyfile on ext4", 300, ext4, "-test.skip=^TestMeasure|^TestCopy(Systems|Unwritten|NoSpace|Proc)$"),
		test("copyfile", "copyfile on xfs", 300, xfs, "-test.run=^TestCopy$"),
		test("fsys", "fsys on xfs", 300, xfs, "-test.run=^Test(BesideOS|RemoveAll|WalkBesideFilepath|WalkSameFile|ReadWriteFile|DirFS|Temp|OpenCreate|FileInfo)"),
		test("chain", "chain on xfs", 300, xfs, "-test.skip=^TestStorm|"+forTheHost),
		test("durable", "durable on xfs", 300, xfs),
	}
}

// featureStep is the step that tells what a kernel has.
const featureStep = "guest"

const forTheHost = "^TestInjected|^TestMeasure|^TestReader|" +
	"^TestHouseRules$|^TestRelease$|^TestAPI$|^TestLinks$|^TestRaceReported$|^TestPoison$|^TestWalkSource$"

const (
	tries      = 3 // of a boot; a guest that has said anything is not started again
	bootTime   = 90 * time.Second
	diskBytes  = 1 << 30 // of each name space, sparse
	memoryMiB  = 2048
	processors = 2
)

// guest is a run of a kernel.
type guest struct {
	kernel *kernel
	dir    string // of its disks and logs
	tries  int
	took   time.Duration
}

func (g *guest) results() string { return filepath.Join(g.dir, "results.log") }
func (g *guest) console() string { return filepath.Join(g.dir, "console.log") }

// boot runs the steps in a virtual machine with the kernel unpacked in kernelDir.
func (g *guest) boot(kernelDir string, p programs) error {
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return err
	}
	initrd := filepath.Join(g.dir, "initrd")
	disks := []string{"raw", "ext4", "xfs"}
	defer func() { // what is large
		os.Remove(initrd)
		for _, d := range disks {
			os.Remove(filepath.Join(g.dir, d+".img"))
		}
	}()
	if err := g.writeInitrd(initrd, kernelDir, p); err != nil {
		return err
	}
	start := time.Now()
	defer func() { g.took = time.Since(start) }()
	for g.tries = 1; ; g.tries++ {
		for _, d := range disks {
			if err := makeDisk(g.dir, d); err != nil {
				return err
			}
		}
		err := g.qemu(filepath.Join(kernelDir, "vmlinux"), initrd, disks)
		text, _ := os.ReadFile(g.results())
		if strings.Contains(string(text), plan.Boot) {
			return err
		}
		if g.tries == tries {
			tail, _ := os.ReadFile(g.console())
			return fmt.Errorf("not booted in %d tries: %w\n%s", tries, err, tail[max(0, len(tail)-4000):])
		}
	}
}

func (g *guest) writeInitrd(name, kernelDir string, p programs) error {
	var files []file
	for program, data := range p {
		files = append(files, file{program, 0o755, data})
	}
	files = append(files, file{"true", 0o755, p["init"]})
	do := plan.Plan{Steps: steps()}
	mods, err := modules(kernelDir, g.kernel.release, "xfs")
	if err != nil {
		return err
	}
	for _, m := range mods {
		do.Modules = append(do.Modules, m.name)
		files = append(files, file{strings.TrimPrefix(plan.Modules, "/") + "/" + m.name, m.mode, m.data})
	}
	text, err := json.Marshal(do)
	if err != nil {
		return err
	}
	files = append(files, file{strings.TrimPrefix(plan.File, "/"), 0o644, text})
	return os.WriteFile(name, cpio(files), 0o644)
}

// makeDisk makes an empty disk, with the file system that it is named after.
func makeDisk(dir, kind string) error {
	name := filepath.Join(dir, kind+".img")
	os.Remove(name)
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(diskBytes); err != nil {
		return err
	}
	switch kind {
	case "ext4":
		_, err = output("", "mkfs.ext4", "-q", "-F", name)
	case "xfs":
		_, err = output("", "mkfs.xfs", "-q", name)
	}
	return err
}

// qemu runs the machine until it turns itself off. It has no network and no disk but its own.
// no_timer_check, as on a loaded host the check of the timer fails and the kernel gives up.
func (g *guest) qemu(kernel, initrd string, disks []string) error {
	limit := bootTime
	for _, s := range steps() {
		limit += time.Duration(s.Seconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	os.Remove(g.results())
	args := []string{"-accel", "tcg,thread=" + threads(), "-M", "q35", "-cpu", "max", "-smp", fmt.Sprint(processors),
		"-m", fmt.Sprint(memoryMiB), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none",
		"-serial", "file:" + g.console(), "-serial", "file:" + g.results(),
		"-kernel", kernel, "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 oops=panic quiet loglevel=4 mitigations=off nokaslr no_timer_check nvme.poll_queues=1",
		"-device", "nvme,id=nvme,serial=matrix"}
	for i, d := range disks {
		args = append(args,
			"-drive", fmt.Sprintf("file=%s/%s.img,if=none,id=%s,format=raw,cache=unsafe", g.dir, d, d),
			"-device", fmt.Sprintf("nvme-ns,drive=%s,bus=nvme,nsid=%d", d, i+1))
	}
	c := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	// A machine that does not boot need not have all the time of one that does.
	started := time.AfterFunc(bootTime, func() {
		if text, _ := os.ReadFile(g.results()); !strings.Contains(string(text), plan.Boot) {
			cancel()
		}
	})
	defer started.Stop()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Start()
	if err == nil {
		if measuring {
			defer time.AfterFunc(preferTime, func() { preferDevices(c.Process.Pid) }).Stop()
		}
		err = c.Wait()
	}
	if err != nil {
		return fmt.Errorf("qemu: %w %s", err, out.Bytes())
	}
	return nil
}
