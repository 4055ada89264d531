package main

import (
	"testing"

	"github.com/consentd/consentd/internal/clitest"
)

func TestHelp(t *testing.T) {
	clitest.CheckHelp(t, newParser, 3)
}
