package testutil

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Profile is a seccomp profile as container runtimes read it: OCI's LinuxSeccomp with the conditions
// that Docker, containerd and Podman add.
type Profile struct {
	DefaultAction   string   `json:"defaultAction"`
	DefaultErrnoRet *uint32  `json:"defaultErrnoRet,omitempty"`
	Architectures   []string `json:"architectures,omitempty"`
	ArchMap         []struct {
		Architecture     string   `json:"architecture"`
		SubArchitectures []string `json:"subArchitectures"`
	} `json:"archMap,omitempty"`
	Syscalls []ProfileRule `json:"syscalls"`
}

// ProfileRule says what happens to some system calls.
type ProfileRule struct {
	Names    []string          `json:"names"`
	Action   string            `json:"action"`
	ErrnoRet *uint32           `json:"errnoRet,omitempty"`
	Args     []json.RawMessage `json:"args,omitempty"`
	Comment  string            `json:"comment,omitempty"`
	Includes ProfileFilter     `json:"includes,omitzero"`
	Excludes ProfileFilter     `json:"excludes,omitzero"`
}

// ProfileFilter says where a rule holds.
type ProfileFilter struct {
	Caps      []string `json:"caps,omitempty"`
	Arches    []string `json:"arches,omitempty"`
	MinKernel string   `json:"minKernel,omitempty"`
}

// ParseProfile reads a profile, or one rule of it, and takes nothing that a runtime does not know.
func ParseProfile[T Profile | ProfileRule](text []byte) (*T, error) {
	p := new(T)
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one JSON value")
	}
	return p, nil
}

// profileArch is what profiles call this architecture.
func profileArch() (audit uint32, name string, err error) {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64, "amd64", nil
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64, "arm64", nil
	}
	return 0, "", fmt.Errorf("no profile for %s", runtime.GOARCH)
}

// applies reports whether a rule holds in a container without capabilities on this machine. Kernels
// that are too old for a rule are not looked for.
func (r *ProfileRule) applies(arch string) bool {
	return len(r.Includes.Caps) == 0 &&
		(len(r.Includes.Arches) == 0 || slices.Contains(r.Includes.Arches, arch)) &&
		!slices.Contains(r.Excludes.Arches, arch)
}

// Compile makes a filter of the profile for this machine. Rules about arguments hold whatever the
// arguments are, as BPF for 64-bit comparisons is not what is tested here. numbers are those of the
// system calls.
func (p *Profile) Compile(numbers map[string]uint32) ([]unix.SockFilter, error) {
	const offsetOfNumber, offsetOfArch = 0, 4 // in struct seccomp_data
	audit, arch, err := profileArch()
	if err != nil {
		return nil, err
	}
	fallback, err := returnValue(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	equal := func(k uint32) unix.SockFilter { // goes on if so, else behind the next instruction
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: k}
	}
	filter := []unix.SockFilter{load(offsetOfArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: audit}, answer(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetOfNumber)}
	for i := range p.Syscalls {
		r := &p.Syscalls[i]
		k, err := returnValue(r.Action, r.ErrnoRet)
		if err != nil {
			return nil, err
		}
		for _, name := range r.Names {
			// Those of other architectures have no number here.
			if number, ok := numbers[name]; ok && r.applies(arch) {
				filter = append(filter, equal(number), answer(k))
			}
		}
	}
	return append(filter, answer(fallback)), nil
}

// returnValue is what a filter answers for an action.
func returnValue(action string, errno *uint32) (uint32, error) {
	switch action {
	case "SCMP_ACT_ALLOW":
		return unix.SECCOMP_RET_ALLOW, nil
	case "SCMP_ACT_ERRNO":
		if errno == nil {
			return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), nil
		}
		return unix.SECCOMP_RET_ERRNO | *errno&unix.SECCOMP_RET_DATA, nil
	case "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS":
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	}
	return 0, fmt.Errorf("unknown action %q", action)
}

// SyscallNumbers returns the system calls of this architecture, from the source of golang.org/x/sys.
// It needs the go command.
func SyscallNumbers() (map[string]uint32, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	name := filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+runtime.GOARCH+".go")
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]uint32)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			if number, err := strconv.ParseUint(lit.Value, 0, 32); err == nil {
				numbers[strings.ToLower(strings.TrimPrefix(spec.Names[0].Name, "SYS_"))] = uint32(number)
			}
		}
		return true
	})
	return numbers, nil
}

// ObeyFilter makes all threads of this process obey a filter, and its children, for good.
func ObeyFilter(filter []unix.SockFilter) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return installFilter(filter)
}
