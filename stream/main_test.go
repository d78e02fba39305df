package stream_test

import (
	"testing"

	"github.com/ringfile/ringfile/internal/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }
