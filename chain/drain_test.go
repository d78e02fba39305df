package chain_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/chain"
)

// TestChainDrain has chains write a number to two places, one after the other, while others that
// drain read both: they never see a chain half done.
func TestChainDrain(t *testing.T) {
	for name, flag := range map[string]int{"buffered": 0, "direct": oDirect} {
		t.Run(name, func(t *testing.T) {
			routes(t, small, func(t *testing.T, e *ringfile.Engine) { drainAmongChains(t, e, flag) })
		})
	}
}

func drainAmongChains(t *testing.T, e *ringfile.Engine, flag int) {
	const writers, block = 4, 4096
	f, err := e.OpenFile(t.TempDir()+"/pairs", os.O_RDWR|os.O_CREATE|flag, 0o600)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	if err := f.Truncate(2 * writers * block); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var c chain.Chain
			buf := ringfile.AlignedBuffer(block, block)
			for i := uint64(1); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				binary.LittleEndian.PutUint64(buf, i)
				c.WriteAt(f, buf, int64(w)*block)
				c.Datasync(f)
				c.WriteAt(f, buf, int64(writers+w)*block)
				if err := c.Run(); err != nil {
					t.Error(err)
					return
				}
				c.Reset()
			}
		})
	}
	var c chain.Chain
	all := ringfile.AlignedBuffer(2*writers*block, block)
	for range 30 {
		c.ReadAt(f, all, 0)
		c.Drain()
		if err := c.Run(); err != nil {
			t.Error(err)
		}
		c.Reset()
		for w := range writers {
			first := binary.LittleEndian.Uint64(all[w*block:])
			second := binary.LittleEndian.Uint64(all[(writers+w)*block:])
			if first != second {
				t.Errorf("writer %d: %d and %d, a chain that is half done", w, first, second)
			}
		}
	}
	close(done)
	wg.Wait()
}

// TestChainDrainContext gives up a chain that waits for others: it carries nothing out, and does not
// hold up those behind it.
func TestChainDrainContext(t *testing.T) {
	routes(t, small, func(t *testing.T, e *ringfile.Engine) {
		f, err := e.Create(t.TempDir() + "/file")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		release := chain.Hold(e)
		var c, later chain.Chain
		i := c.WriteAt(f, []byte("never"), 0)
		c.Drain()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := c.RunContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("RunContext = %v, want context.DeadlineExceeded", err)
		}
		if r := c.Result(i); r.N != 0 || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("Result = %+v", r)
		}
		later.WriteAt(f, []byte("now"), 0)
		if err := later.Run(); err != nil {
			t.Error(err)
		}
		release()
	})
}
