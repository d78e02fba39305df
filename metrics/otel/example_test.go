package otel_test

import (
	"fmt"

	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/ringfile/ringfile"
	"github.com/ringfile/ringfile/metrics/otel"
)

func ExampleObserve() {
	engine, err := ringfile.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := metric.NewMeterProvider() // with the readers and exporters of the program
	registration, err := otel.Observe(provider.Meter("files"), engine)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(registration.Unregister())
	// Output: <nil>
}
