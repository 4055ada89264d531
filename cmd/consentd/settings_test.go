package main

import (
	"strings"
	"testing"
)

// TestHelpTellsWords: where a setting is one of a few words, --help says which; a mistake names its own command's help.
func TestHelpTellsWords(t *testing.T) {
	p := command(t, nil, "serve", "--help")
	hold(t, "serve --help", strings.Join(strings.Fields(p.out.String()), " "), "debug, info, warn or error",
		"text or json")
	for args, said := range map[string]string{"backup": "consentd backup --help",
		"key create": "consentd key create --help", "nothing": "consentd --help"} {
		p := command(t, nil, strings.Fields(args)...)
		if p.code != exitUsage {
			t.Errorf("%s: exit code %d", args, p.code)
		}
		hold(t, args, p.errOut.String(), said)
	}
}
