package sqlite

import "syscall"

const direct = syscall.O_DIRECT
