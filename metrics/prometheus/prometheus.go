// Package prometheus exports the counters of a ringfile engine to Prometheus through its official
// client.
package prometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/internal/metrics"
)

// NewCollector returns a collector of e.Stats(), to be registered with a registry. Its metrics are
// ringfile_operations_total, ringfile_oldest_in_flight_seconds and so on, one for each numeric field.
// Those by route have the label route: cached, ring or blocking. labels are added to each metric, to
// tell several engines apart; nil adds none. Collecting reads the engine's counters and is safe for
// concurrent use.
func NewCollector(e *ringfile.Engine, labels prometheus.Labels) prometheus.Collector {
	c := &collector{engine: e}
	for _, m := range metrics.All {
		d := desc{value: m.Value, kind: prometheus.GaugeValue}
		name := "ringfile_" + m.Name
		if m.Counter {
			name += "_total"
			d.kind = prometheus.CounterValue
		}
		var byRoute []string
		if m.Route != "" {
			byRoute, d.route = []string{"route"}, []string{m.Route}
		}
		d.desc = prometheus.NewDesc(name, m.Help, byRoute, labels)
		c.descs = append(c.descs, d)
	}
	return c
}

type collector struct {
	engine *ringfile.Engine
	descs  []desc
}

type desc struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	route []string // value of the label, if there is one
	value func(*ringfile.Stats) float64
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.engine.Stats()
	for _, d := range c.descs {
		ch <- prometheus.MustNewConstMetric(d.desc, d.kind, d.value(&s), d.route...)
	}
}
