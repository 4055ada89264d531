package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// The most that the lists of a bundle may have beside decisions. Each version is named by a decision.
const (
	maxVersions = MaxDecisions
	maxKeys     = 10_000
	maxMerges   = 2 * MaxDecisions
	maxNames    = 100_000 // identifiers of a person, and ids of those who were merged into it
)

// The lists of a bundle. Package json alone would read all that a file holds before anybody counts: three bytes of it
// can be a decision, and that takes many more in memory. These stop at the bound.
type (
	manyDecisions   []Decision
	manyVersions    []Version
	manyKeys        []Key
	manyEpochs      []Entry
	manyMerges      []Entry
	manyEntries     []Entry
	manyIDs         []string
	manyIdentifiers []Identifier
)

func (l *manyDecisions) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Decision](data, "decisions", MaxDecisions)
	return err
}

func (l *manyVersions) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Version](data, "versions", maxVersions)
	return err
}

func (l *manyKeys) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Key](data, "keys", maxKeys)
	return err
}

func (l *manyEpochs) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Entry](data, "epochs", MaxEpochs)
	return err
}

func (l *manyMerges) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Entry](data, "merges", maxMerges)
	return err
}

func (l *manyEntries) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Entry](data, "entries of versions", 2*maxVersions)
	return err
}

func (l *manyIDs) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[string](data, "merged subjects", maxNames)
	return err
}

func (l *manyIdentifiers) UnmarshalJSON(data []byte) (err error) {
	*l, err = readList[Identifier](data, "identifiers", maxNames)
	return err
}

// readList reads a JSON array one by one, and not beyond a bound.
func readList[T any](data []byte, name string, most int) ([]T, error) {
	if string(data) == "null" {
		return nil, nil // which is how a list that is nil is written
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.New("its " + name + " are no list")
	}
	out := []T{}
	for d.More() {
		if len(out) == most {
			return nil, fmt.Errorf("it has more than %d %s", most, name)
		}
		var one T
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// tooMany tells whether a list of a bundle has more than is read.
func (b *Bundle) tooMany() bool {
	return len(b.Decisions) > MaxDecisions || len(b.Versions) > maxVersions || len(b.Keys) > maxKeys ||
		len(b.Epochs) > MaxEpochs || len(b.Merges) > maxMerges || len(b.Entries) > 2*maxVersions ||
		len(b.Person.Merged) > maxNames || len(b.Person.Identifiers) > maxNames
}
