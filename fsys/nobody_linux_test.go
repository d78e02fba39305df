package fsys_test

import (
	"os/exec"
	"syscall"
)

// asNobody makes a program run without rights.
func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
