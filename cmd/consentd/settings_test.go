package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
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

// TestRepeatedFlag: a flag that may be given several times counts each time, and commas within one part it too.
func TestRepeatedFlag(t *testing.T) {
	s := newSettings("witness", "cors-origins")
	parser, err := kong.New(&struct{ Settings }{s})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--witness", "a,b", "--cors-origins", "x,y", "--witness=c"}); err != nil {
		t.Fatal(err)
	}
	if given := s.given(); given["witness"] != "a,b,c" || given["cors-origins"] != "x,y" || len(given) != 2 {
		t.Errorf("%v", given)
	}
	if given := (&Settings{Plugins: newSettings("witness").Plugins, names: []string{"witness"}}).given(); len(given) > 0 {
		t.Errorf("without it: %v", given)
	}
}
