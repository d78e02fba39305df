package ringfile_test

import (
	"os/exec"
	"syscall"
)

// becomeNobody makes a program run without rights.
func becomeNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
