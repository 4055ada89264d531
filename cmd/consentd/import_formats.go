package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/importing"
	"github.com/consentd/consentd/internal/importing/brevo"
	"github.com/consentd/consentd/internal/importing/c15t"
	"github.com/consentd/consentd/internal/importing/concord"
	"github.com/consentd/consentd/internal/importing/consentgrid"
	"github.com/consentd/consentd/internal/importing/consenthub"
	"github.com/consentd/consentd/internal/importing/cookiebot"
	"github.com/consentd/consentd/internal/importing/cookieconsent"
	"github.com/consentd/consentd/internal/importing/csv"
	"github.com/consentd/consentd/internal/importing/klaro"
	"github.com/consentd/consentd/internal/importing/listmonk"
	"github.com/consentd/consentd/internal/importing/mailchimp"
	"github.com/consentd/consentd/internal/importing/ndjson"
	"github.com/consentd/consentd/internal/importing/onetrust"
	"github.com/consentd/consentd/internal/importing/slashid"
)

// autoFormat lets the file say which format it has.
const autoFormat = "auto"

// importFormats are those that files are read in. The first that knows a file is taken, so those of one tool go first.
var importFormats = []*importing.Format{ndjson.Format, concord.Format, slashid.Format, consenthub.Format,
	consentgrid.Format,
	klaro.Format, cookieconsent.Format, c15t.Format, onetrust.Format, cookiebot.Format, mailchimp.Format, brevo.Format,
	listmonk.Format, csv.Format}

// formatOf finds the format of a name, or the one that a file looks like.
func formatOf(name string, in *importing.Input, by *importing.Map) (*importing.Format, error) {
	if name == autoFormat || name == "" {
		found, err := importing.Detect(in, importFormats)
		if errors.Is(err, importing.ErrUnknownTable) && by != nil && len(by.Columns)+len(by.Wide) > 0 {
			return csv.Format, nil // the map says what its columns are
		}
		return found, err
	}
	var names []string
	for _, f := range importFormats {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return nil, fmt.Errorf("--format: %q is not known; allowed: auto, %s", name, strings.Join(names, ", "))
}

// formatsHelp lists the formats for a help.
func formatsHelp() string {
	var b strings.Builder
	for _, f := range importFormats {
		fmt.Fprintf(&b, "\t%-22s %s\n", f.Name, f.Reads)
	}
	return b.String()
}
