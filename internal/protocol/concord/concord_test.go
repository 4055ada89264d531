package concord_test

import (
	"testing"

	"github.com/consentd/consentd/internal/webtest"
)

func TestTranscripts(t *testing.T) {
	webtest.Run(t, "testdata/*.txt")
}
