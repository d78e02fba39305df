package prometheus_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/metrics/prometheus"
)

func TestCollector(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking") // where one knows what is counted
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	registry := client.NewPedanticRegistry()
	if err := registry.Register(prometheus.NewCollector(e, client.Labels{"engine": "test"})); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := e.WriteFile(name, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := e.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 5), 0); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP ringfile_bytes_total Bytes read and written, by route.
# TYPE ringfile_bytes_total counter
ringfile_bytes_total{engine="test",route="blocking"} 10
ringfile_bytes_total{engine="test",route="cached"} 0
ringfile_bytes_total{engine="test",route="ring"} 0
# HELP ringfile_operations_total Operations by route.
# TYPE ringfile_operations_total counter
ringfile_operations_total{engine="test",route="blocking"} 2
ringfile_operations_total{engine="test",route="cached"} 0
ringfile_operations_total{engine="test",route="ring"} 0
# HELP ringfile_rings Rings in service; zero means that io_uring is not used.
# TYPE ringfile_rings gauge
ringfile_rings{engine="test"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"ringfile_bytes_total", "ringfile_operations_total", "ringfile_rings"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
