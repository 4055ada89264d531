// Package consentgrid knows the answers of ConsentGrid's list of subjects, and nothing of its calls.
//
// It follows GET /v1/subjects as in internal/protocol/consentgrid/README.md: pages {"total","subjects":
// [{"id":{"id","type"},"version","versionTime","data":{…}}]}, one behind the other, in an array or a subject a line.
// What stands in data is the site's own, so a map has to say which of it are consents: wide gives the purpose for a
// member of data (such as data.newsletter), whose value is true or false, or a word; columns gives the identifier that
// another is (data.email: identifiers.email). The id of a subject of type user is its userId. The decision is as old as
// the version that says so: when a consent came into data is in no list.
package consentgrid

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "consentgrid", Reads: "a list of ConsentGrid's subjects (JSON), with --map",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		if len(o.Map.Wide) == 0 {
			return nil, errors.New("what a subject's data means is the site's own: give a map with wide, such as " +
				"wide: {data.newsletter: newsletter}")
		}
		if err := words.Check(o.Map); err != nil {
			return nil, err
		}
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) {
			return importing.NewItems(p, []string{"subjects"}, each)
		}, nil
	},
	Knows: func(h *importing.Head) bool { return h.Members.Has("versiontime") && h.Members.Has("data") },
}

var words = importing.Words{
	"true": {State: importing.Accepted}, "yes": {State: importing.Accepted}, "accepted": {State: importing.Accepted},
	"false": importing.No(importing.Declined), "no": importing.No(importing.Declined),
	"declined": importing.No(importing.Declined), "withdrawn": importing.No(importing.Withdrawn),
}

func item(o *importing.Options, i *importing.Item) error {
	var in struct {
		ID struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"id"`
		Version     int            `json:"version"`
		VersionTime string         `json:"versionTime"`
		Data        jsontext.Value `json:"data"`
	}
	if err := i.Into(&in); err != nil {
		return err
	}
	var l importing.Line
	var err error
	if l.OccurredAt, err = o.At("versionTime", in.VersionTime); err != nil {
		return err
	}
	if in.ID.Type == "user" {
		l.Identifiers.UserID = in.ID.ID
	}
	for _, path := range slices.Sorted(maps.Keys(o.Map.Columns)) {
		if value := at(in.Data, path); value.Kind() == '"' && o.Map.Columns[path] != "" {
			if err := o.Set(&l, o.Map.Columns[path], importing.Unquoted(value)); err != nil {
				return err
			}
		}
	}
	i.Out.LeaveOut("its data has none of the consents that the map names")
	for _, path := range slices.Sorted(maps.Keys(o.Map.Wide)) {
		value := at(in.Data, path)
		if kind := value.Kind(); kind != '"' && kind != 't' && kind != 'f' {
			continue
		}
		means, err := o.StateOf(importing.Unquoted(value), words)
		if err != nil {
			return err
		}
		if means.State == "" {
			continue
		}
		l.Purpose, l.State = o.Map.Wide[path], means.State
		l.ExternalID = importing.IDOf(in.ID.Type, in.ID.ID, strconv.Itoa(in.Version), l.Purpose)
		if err := i.Out.Add(&l); err != nil {
			return err
		}
	}
	return nil
}

// at finds a member of data by its path, in any case.
func at(data jsontext.Value, path string) jsontext.Value {
	rest, ok := strings.CutPrefix(path, "data.")
	if !ok {
		return nil
	}
	for name := range strings.SplitSeq(rest, ".") {
		data = importing.MembersOf(data)[importing.Squeeze(name)]
	}
	return data
}
