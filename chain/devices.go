package chain

import (
	"sync"

	"github.com/ringfile/ringfile/internal/outside"
	"github.com/ringfile/ringfile/internal/restrict"
	"github.com/ringfile/ringfile/uring"
)

// maxRings is how many devices have a ring at a time. Chains on others are calls.
const maxRings = 32

// devices has the rings, one per device, so that a device that hangs, or is full, delays only its own
// users.
var devices struct {
	mu sync.Mutex
	of map[uint64]*device
}

// device is a ring and its users. Its fields are guarded by devices.mu.
type device struct {
	ring  *ring // nil while it is being made, and if it cannot be made
	users int
}

// use returns the ring of a device, nil if there is none. leave ends the use.
func use(dev uint64) *device {
	devices.mu.Lock()
	d := devices.of[dev]
	if d == nil {
		if d = vacate(); d == nil {
			devices.mu.Unlock()
			return nil
		}
		devices.of[dev] = d
		if d.ring == nil {
			d.users++ // nobody takes it meanwhile
			devices.mu.Unlock()
			r := openRing()
			devices.mu.Lock()
			d.users--
			d.ring = r
		}
	}
	defer devices.mu.Unlock()
	if d.ring == nil || d.ring.isBroken() {
		return nil
	}
	d.users++
	return d
}

func (d *device) leave() {
	devices.mu.Lock()
	d.users--
	devices.mu.Unlock()
}

// vacate returns a device without a number: a new one or, if there are enough, the ring of one that
// nobody uses. Nil if there is none. devices.mu is held.
func vacate() *device {
	if devices.of == nil {
		devices.of = make(map[uint64]*device)
	}
	if len(devices.of) < maxRings {
		return new(device)
	}
	for dev, d := range devices.of {
		if d.users == 0 && (d.ring == nil || !d.ring.isBroken()) {
			delete(devices.of, dev)
			return d
		}
	}
	return nil
}

// openRing makes a ring, nil if that fails.
func openRing() (r *ring) {
	outside.Do(func() {
		u, err := uring.New(uring.Config{Entries: depth, CQEntries: 2 * depth, Wanted: restrict.Wanted()})
		if err != nil {
			return
		}
		u.RegisterIOWQMaxWorkers(workers, workers) // the kernel's own bound stays where it cannot be set
		if _, err := restrict.Enable(u, uring.SQEIOLink|uring.SQEIOHardlink, uring.OpRead, uring.OpWrite, uring.OpReadv,
			uring.OpWritev, uring.OpFsync); err != nil {
			u.Close()
			return
		}
		r = newRing(u)
	})
	return r
}
