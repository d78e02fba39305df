package ringfile

import "syscall"

const testDirect = syscall.O_DIRECT
