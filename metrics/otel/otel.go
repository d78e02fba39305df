// Package otel exports the counters of a ringfile engine to OpenTelemetry through its official API.
package otel

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/metrics"
)

// Observe registers observable instruments for e.Stats() with meter: ringfile.operations,
// ringfile.oldest_in_flight and so on, one for each numeric field. Those by route have the attribute
// ringfile.route: cached, ring or blocking. attributes are added to each instrument, to tell several
// engines apart. To stop, unregister the returned Registration. The callback only reads the engine's
// counters.
func Observe(meter metric.Meter, e *ringfile.Engine, attributes ...attribute.KeyValue) (metric.Registration, error) {
	var all []metric.Observable
	var values []func(metric.Observer, *ringfile.Stats)
	var last metric.Float64Observable
	for i, m := range metrics.All {
		if i == 0 || m.Name != metrics.All[i-1].Name {
			instrument, err := newInstrument(meter, m)
			if err != nil {
				return nil, fmt.Errorf("instrument for %s: %w", m.Name, err)
			}
			last = instrument
			all = append(all, instrument)
		}
		set := attributes
		if m.Route != "" {
			set = append(attributes[:len(attributes):len(attributes)], attribute.String("ringfile.route", m.Route))
		}
		instrument, option := last, metric.WithAttributes(set...)
		values = append(values, func(o metric.Observer, s *ringfile.Stats) {
			o.ObserveFloat64(instrument, m.Value(s), option)
		})
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := e.Stats()
		for _, value := range values {
			value(o, &s)
		}
		return nil
	}, all...)
}

func newInstrument(meter metric.Meter, m metrics.Metric) (metric.Float64Observable, error) {
	name := "ringfile." + strings.TrimSuffix(m.Name, "_seconds") // the unit is not part of a name here
	if m.Counter {
		return meter.Float64ObservableCounter(name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
	}
	return meter.Float64ObservableGauge(name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
}
