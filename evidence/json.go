package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// document is evidence.json.
type document struct {
	Format       string        `json:"format"`
	Organization Organization  `json:"organization"`
	Person       person        `json:"person"`
	Purpose      string        `json:"purpose,omitempty"`
	Checkpoint   string        `json:"checkpoint"`
	Earlier      *Earlier      `json:"earlier,omitempty"`
	Epochs       manyEpochs    `json:"epochs,omitempty"`
	Merges       manyMerges    `json:"merges,omitempty"`
	Entries      manyEntries   `json:"entries,omitempty"`
	Decisions    manyDecisions `json:"decisions"`
}

// person is a Person.
type person struct {
	ID          string          `json:"id"`
	Merged      manyIDs         `json:"merged"`
	Identifiers manyIdentifiers `json:"identifiers"`
}

// keyList is keys.json, and versionList purposes.json.
type (
	keyList struct {
		Keys manyKeys `json:"keys"`
	}
	versionList struct {
		Versions manyVersions `json:"versions"`
	}
)

// encode gives JSON in the one form in which it is in a bundle.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// maxLine is how many bytes a line of the data may have. Each has one value, and nothing that is recorded is nearly as
// long; what is made of a value, such as a part of the page, takes many times as much memory.
const maxLine = 2 << 20

func hasLongLine(data []byte) bool {
	for len(data) > maxLine {
		end := bytes.IndexByte(data, '\n')
		if end < 0 || end > maxLine {
			return true
		}
		data = data[end+1:]
	}
	return false
}

// decode reads what encode gave, and nothing else. Package json alone would take a member twice, in other letters, as
// null or in another spelling, so that two readers could read different things.
func decode(name string, data []byte, into any) error {
	if !utf8.Valid(data) { // it would not be the same again, and takes three times as much until then
		return fmt.Errorf("%w: %s is no UTF-8", ErrUnreadable, name)
	}
	if hasLongLine(data) {
		return fmt.Errorf("%w: %s has a line of more than %d bytes", ErrUnreadable, name, maxLine)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnreadable, name, err)
	}
	again, err := encode(into)
	if err != nil || !bytes.Equal(again, data) {
		return fmt.Errorf("%w: %s is not in the form in which it was made: it was changed, or written anew", ErrUnreadable,
			name)
	}
	return nil
}

// writeList writes a document whose last member is a list, one by one: all of it at once would take several times as
// much memory. empty is the document with an empty list.
func writeList(w io.Writer, empty []byte, n int, item func(i int) any) error {
	const end = "]\n}\n"
	before, ok := bytes.CutSuffix(empty, []byte(end))
	if !ok || n == 0 {
		_, err := w.Write(empty)
		return err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("    ", "  ")
	for i := range n {
		out.Reset()
		out.Write(before)
		out.WriteString("\n    ")
		if err := e.Encode(item(i)); err != nil {
			return err
		}
		if _, err := w.Write(bytes.TrimSuffix(out.Bytes(), []byte("\n"))); err != nil {
			return err
		}
		before = []byte(",")
	}
	_, err := io.WriteString(w, "\n  "+end)
	return err
}

// data are the files of data, and how they are written.
func (b *Bundle) data() []part {
	return []part{{DataFile, func(w io.Writer) error {
		d := document{format, b.Organization, person{b.Person.ID, b.Person.Merged, b.Person.Identifiers}, b.Purpose,
			b.Checkpoint, b.Earlier, b.Epochs, b.Merges, b.Entries, b.Decisions}
		if len(b.Decisions) > 0 {
			d.Decisions = manyDecisions{}
		}
		empty, err := encode(&d)
		if err != nil {
			return err
		}
		return writeList(w, empty, len(b.Decisions), func(i int) any { return &b.Decisions[i] })
	}}, {PurposesFile, writing(&versionList{b.Versions})}, {KeysFile, writing(&keyList{b.Keys})}}
}

func writing(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		all, err := encode(v)
		if err != nil {
			return err
		}
		_, err = w.Write(all)
		return err
	}
}

// parse reads what a zip held.
func parse(files map[string][]byte) (*Bundle, error) {
	var d document
	var versions versionList
	var keys keyList
	for _, f := range []struct {
		name string
		into any
	}{{DataFile, &d}, {PurposesFile, &versions}, {KeysFile, &keys}} {
		if err := decode(f.name, files[f.name], f.into); err != nil {
			return nil, err
		}
	}
	if d.Format != format {
		return nil, fmt.Errorf("%w: %s is in the form %.40q, which this program does not know", ErrUnreadable, DataFile,
			d.Format)
	}
	b := &Bundle{d.Organization, Person{d.Person.ID, d.Person.Merged, d.Person.Identifiers}, d.Purpose, d.Checkpoint,
		d.Earlier, d.Epochs, d.Merges, d.Entries, d.Decisions, versions.Versions, keys.Keys, map[string]string{}}
	for name, content := range files {
		if hash, ok := textOf(name); ok {
			b.Texts[hash] = string(content)
		}
	}
	return b, nil
}

// maxMembers is how many members an object in a body or an ident may have; what was recorded has far fewer.
const maxMembers = 1000

// members reads a JSON object whose names are all different.
func members(text string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		if len(out) == maxMembers {
			return nil, fmt.Errorf("it has more than %d members", maxMembers)
		}
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder gives nothing else here
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("it has %.40q twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows it")
	}
	return out, nil
}
