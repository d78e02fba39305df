package otel_test

import (
	"path/filepath"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/metrics/otel"
)

func TestObserve(t *testing.T) {
	t.Setenv("RINGFILE_BACKEND", "blocking") // where one knows what is counted
	e, err := ringfile.New(ringfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	registration, err := otel.Observe(provider.Meter("test"), e, attribute.String("engine", "test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.WriteFile(filepath.Join(t.TempDir(), "file"), []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := collect(t, reader)
	want := attribute.NewSet(attribute.String("engine", "test"), attribute.String("ringfile.route", "blocking"))
	if n := got["ringfile.bytes"][want]; n != 5 {
		t.Errorf("ringfile.bytes = %v, want 5 on the blocking route; all: %v", n, got)
	}
	if n := len(got["ringfile.bytes"]); n != 3 {
		t.Errorf("%d routes, want 3", n)
	}
	if n, ok := got["ringfile.oldest_in_flight"]; !ok || len(n) != 1 {
		t.Errorf("ringfile.oldest_in_flight = %v", n)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if left := collect(t, reader); len(left["ringfile.bytes"]) != 0 {
		t.Errorf("after Unregister: %v", left)
	}
}

// collect returns the values that the instruments have now, by name and attributes.
func collect(t *testing.T, reader metric.Reader) map[string]map[attribute.Set]float64 {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[attribute.Set]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			got[m.Name] = map[attribute.Set]float64{}
			var points []metricdata.DataPoint[float64]
			switch d := m.Data.(type) {
			case metricdata.Sum[float64]:
				points = d.DataPoints
			case metricdata.Gauge[float64]:
				points = d.DataPoints
			}
			for _, p := range points {
				got[m.Name][p.Attributes] = p.Value
			}
		}
	}
	return got
}
