package prometheus_test

import (
	"fmt"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/metrics/prometheus"
)

func ExampleNewCollector() {
	engine, err := ringfile.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := client.NewRegistry()
	registry.MustRegister(prometheus.NewCollector(engine, nil))

	families, err := registry.Gather()
	fmt.Println(families[0].GetName(), err)
	// Output: ringfile_blocking_calls <nil>
}
