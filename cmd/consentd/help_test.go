package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"github.com/consentd/consentd/internal/clitest"
)

func TestHelp(t *testing.T) {
	clitest.CheckHelp(t, func() *kong.Kong {
		return kong.Must(newCommands(), kong.Name("consentd"), kong.Description(description), kong.Exit(func(int) {}))
	}, 31)
}
