//go:build !linux

package ringfile

const (
	atCwd       = -1
	atNoFollow  = 0
	atRemoveDir = 0
	atEmptyPath = 0
)

// pathMemory is not used: there are no rings on this system.
type pathMemory struct{}

func (p *pathCall) pin() error { return nil }

func (p *pathCall) info(string) *fileInfo { return nil }
