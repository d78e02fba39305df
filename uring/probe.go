package uring

// Probe says which operations a kernel supports.
type Probe struct {
	// LastOp is the last operation that the kernel supports.
	LastOp Op

	supported [probeOpsMax]bool
}

// Supports reports whether the kernel supports op.
func (p *Probe) Supports(op Op) bool { return p.supported[op] }

// Probe asks the kernel which operations it supports. It needs Linux 5.6.
func (r *Ring) Probe() (*Probe, error) {
	arg := new(probeArg)
	if _, err := register(r, RegProbe, arg, probeOpsMax); err != nil {
		return nil, err
	}
	p := &Probe{LastOp: arg.lastOp}
	for i := range int(arg.opsLen) {
		p.supported[arg.ops[i].op] = arg.ops[i].flags&opSupported != 0
	}
	return p, nil
}
