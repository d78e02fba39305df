package clients_test

import "syscall"

const direct = syscall.O_DIRECT
