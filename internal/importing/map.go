package importing

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Map says what a file's own words mean: what --map names. Names of columns, words and purposes of the file are found
// without regard to case and to white space around them.
type Map struct {
	// Columns gives the member of the native line that a column is, such as identifiers.email; "" leaves it out.
	Columns map[string]string `yaml:"columns"`
	// Constants are members that all lines have where no column says another.
	Constants map[string]string `yaml:"constants"`
	// States gives the state that a word means; "" is no decision.
	States map[string]string `yaml:"states"`
	// Purposes gives the key of our purpose for the file's name of it; "" leaves it out.
	Purposes map[string]string `yaml:"purposes"`
	// Wide are columns with yes or no in them, by the key of the purpose that each is about.
	Wide map[string]string `yaml:"wide"`
}

// ReadMap reads a map, YAML without other members. What it names is checked.
func ReadMap(r io.Reader) (*Map, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxRecord+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxRecord {
		return nil, fmt.Errorf("a map has at most %d MiB", MaxRecord>>20)
	}
	m := &Map{}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(m); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	for _, names := range []*map[string]string{&m.Columns, &m.States, &m.Purposes, &m.Wide} {
		folded := make(map[string]string, len(*names))
		for name, means := range *names {
			if _, twice := folded[Fold(name)]; twice {
				return nil, fmt.Errorf("%q is there twice, in another case", name)
			}
			folded[Fold(name)] = strings.TrimSpace(means)
		}
		*names = folded
	}
	return m, m.check()
}

func (m *Map) check() error {
	for _, word := range slices.Sorted(maps.Keys(m.States)) {
		if state := m.States[word]; state != "" && !slices.Contains(states, state) {
			return fmt.Errorf("states: %q is given %q; allowed: %s, and \"\" for what is no decision", word, state,
				strings.Join(states, ", "))
		}
	}
	for _, column := range slices.Sorted(maps.Keys(m.Columns)) {
		if member := m.Columns[column]; member != "" && !isMember(member) {
			return fmt.Errorf("columns: %q is given %q, which is no member of a line; such are %s", column, member, someMembers)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(m.Constants)) {
		if !isMember(member) {
			return fmt.Errorf("constants: %q is no member of a line; such are %s", member, someMembers)
		}
	}
	for _, column := range slices.Sorted(maps.Keys(m.Wide)) {
		if m.Wide[column] == "" {
			return fmt.Errorf("wide: %q has no purpose", column)
		}
	}
	return nil
}

// Fold makes one of the spellings of a name.
func Fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// PurposeOf gives the key of our purpose for the file's name of one; empty: the map leaves it out. Where the map has no
// purposes, it is that of defaults, or the name itself.
func (o *Options) PurposeOf(theirs string, defaults map[string]string) (string, error) {
	if ours, ok := o.Map.Purposes[Fold(theirs)]; ok {
		return ours, nil
	}
	if len(o.Map.Purposes) > 0 {
		return "", Refuse("purpose", "purposes of the map has no entry for it")
	}
	if ours, ok := defaults[Fold(theirs)]; ok {
		return ours, nil
	}
	return strings.TrimSpace(theirs), nil
}

// Word is what a word of another tool's means.
type Word struct {
	State   string // empty: it is no decision
	LeftOut string // why not
	// Never forbids a map to make a yes of it: it is a no, or waits for the person.
	Never bool
}

// No is a word for a no.
func No(state string) Word { return Word{State: state, Never: true} }

// Pending is a word for what is no decision, and never a yes.
func Pending(why string) Word { return Word{LeftOut: why, Never: true} }

// Words are a tool's words for states, in lower case.
type Words map[string]Word

// Check tells whether a map may mean by them what it says.
func (w Words) Check(m *Map) error {
	for _, word := range slices.Sorted(maps.Keys(m.States)) {
		if isYes(m.States[word]) && w[word].Never {
			return fmt.Errorf("states: %q is no yes, and cannot be made one", word)
		}
	}
	return nil
}

// StateOf gives what a word means, by the map or else by the tool's own words.
func (o *Options) StateOf(word string, words Words) (Word, error) {
	known, ok := words[Fold(word)]
	if state, mapped := o.Map.States[Fold(word)]; mapped {
		if isYes(state) && known.Never {
			return Word{}, Refuse("state", "it is no yes, and a map cannot make it one")
		}
		return Word{State: state, LeftOut: "the map leaves it out", Never: known.Never}, nil
	}
	if !ok {
		return Word{}, Refuse("state", "the word is not known; known: %s; others go into states of the map",
			strings.Join(slices.Sorted(maps.Keys(words)), ", "))
	}
	return known, nil
}
