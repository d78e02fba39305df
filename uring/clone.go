package uring

import "structs"

// cloneBuffers is the argument of RegCloneBuffers (struct io_uring_clone_buffers).
type cloneBuffers struct {
	_      structs.HostLayout
	srcFD  uint32
	flags  uint32
	srcOff uint32
	dstOff uint32
	nr     uint32
	pad    [3]uint32
}

// cloneReplace lets a table that exists be cloned into (IORING_REGISTER_DST_REPLACE, Linux 6.13).
const cloneReplace uint32 = 1 << 1

// RegisterCloneBuffers copies n registered buffers of src, from slot srcOff on, into the table of r,
// from slot dstOff on, replacing what is there. They are pinned, and counted against RLIMIT_MEMLOCK,
// once for both rings. It needs Linux 6.13.
func (r *Ring) RegisterCloneBuffers(src *Ring, srcOff, dstOff, n uint32) error {
	arg := &cloneBuffers{srcFD: uint32(src.fd), flags: cloneReplace, srcOff: srcOff, dstOff: dstOff, nr: n}
	_, err := register(r, RegCloneBuffers, arg, 1)
	return err
}
