package storetest

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/consentd/consentd/internal/logtest"
)

// Main runs the tests of a package. It keeps what engines without a log of their own write, and shows it where a test
// failed.
func Main(m *testing.M) {
	var log logtest.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	status := m.Run()
	if status != 0 {
		fmt.Fprintf(os.Stderr, "the engines' log:\n%s", log.String())
	}
	os.Exit(status)
}
