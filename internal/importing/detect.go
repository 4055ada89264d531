package importing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// headSize is how much of a file is looked at to find its format.
const headSize = 64 << 10

// Head is what a file looks like.
type Head struct {
	Name    string   // of the file
	Parts   []string // names of its files, without endings, where it is a folder or an archive
	Columns Columns  // of the first table; none: it is no table
	Members Columns  // of the first JSON object, in lower case; none: it is not JSON
	Text    []byte   // how it begins
}

// LookAt looks at how an input begins.
func LookAt(in *Input, rank func(string) int) (*Head, error) {
	h := &Head{Name: in.Name}
	if len(in.parts) > 1 {
		for _, s := range in.parts {
			h.Parts = append(h.Parts, base(s.name))
		}
	}
	for part, err := range in.Parts(rank) {
		if err != nil {
			return nil, err
		}
		text := make([]byte, headSize)
		n, err := io.ReadFull(&bounded{in: part.Text, left: headSize + 64}, text)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		h.look(bytes.TrimSpace(text[:n]))
		break
	}
	return h, nil
}

func (h *Head) look(text []byte) {
	h.Text = text
	if len(text) == 0 {
		return
	}
	if text[0] == '{' || text[0] == '[' {
		h.Members = firstMembers(text)
		return
	}
	first, _, _ := bytes.Cut(text, []byte{'\n'})
	in := csv.NewReader(bytes.NewReader(first))
	in.Comma, in.LazyQuotes = separator(first), true
	cells, err := in.Read()
	if err != nil {
		return
	}
	for _, cell := range cells {
		h.Columns = append(h.Columns, Fold(cell))
	}
}

// firstMembers lists the members of the first object of a text that may be cut off, and of those in arrays of it.
func firstMembers(text []byte) (names Columns) {
	in := jsontext.NewDecoder(bytes.NewReader(text))
	for range 500 {
		token, err := in.ReadToken()
		if err != nil {
			return names
		}
		kind, length := in.StackIndex(in.StackDepth())
		if token.Kind() == '"' && kind == '{' && length%2 == 1 && in.StackDepth() <= 8 {
			names = append(names, strings.ToLower(token.String()))
		}
	}
	return names
}

// ErrUnknownTable is of a table that is of no format by its header.
var ErrUnknownTable = errors.New("whose header no format has")

// Detect finds the format of an input among some, the first that knows it. The error names all of them.
func Detect(in *Input, among []*Format) (*Format, error) {
	if !in.Again() {
		return nil, errors.New("standard input is read once, so its format has to be named: give --format")
	}
	head, err := LookAt(in, nil)
	if err != nil {
		return nil, err
	}
	if len(head.Text) == 0 && head.Parts == nil {
		return nil, ErrNothing
	}
	var names []string
	for _, f := range among {
		if f.Knows(head) {
			return f, nil
		}
		names = append(names, f.Name)
	}
	if n := len(head.Columns); n > 1 { // what stands there may be somebody's name, where it has no header
		return nil, fmt.Errorf("it is a table of %d columns %w: say by --map what they mean, or give --format, one of %s", n,
			ErrUnknownTable, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("it does not look like any format that is known: give --format, one of %s",
		strings.Join(names, ", "))
}

// WithError gives a JSON object with our error as its last member, in place of one that it has.
func WithError(object []byte, reason string) ([]byte, error) {
	without, err := WithoutError(object)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(reason)
	if err != nil {
		return nil, err
	}
	closing := bytes.LastIndexByte(without, '}')
	made := append([]byte{}, bytes.TrimRight(without[:closing], " ")...)
	if !bytes.HasSuffix(made, []byte{'{'}) {
		made = append(made, ',')
	}
	return append(append(append(made, `"`+ErrorColumn+`":`...), text...), '}'), nil
}

// WithoutError gives a JSON object, on one line, without our error.
func WithoutError(object []byte) ([]byte, error) {
	compact := append(jsontext.Value{}, object...)
	if err := compact.Compact(); err != nil {
		return nil, err
	}
	if !bytes.Contains(compact, []byte(`"`+ErrorColumn+`"`)) {
		return compact, nil
	}
	in := jsontext.NewDecoder(bytes.NewReader(compact))
	if _, err := in.ReadToken(); err != nil {
		return nil, err
	}
	made := []byte{'{'}
	for in.PeekKind() != '}' {
		from := in.InputOffset()
		name, err := in.ReadToken()
		if err != nil {
			return nil, err
		}
		ours := name.String() == ErrorColumn
		if _, err := in.ReadValue(); err != nil {
			return nil, err
		}
		if !ours {
			made = append(append(made, bytes.TrimLeft(compact[from:in.InputOffset()], ",")...), ',')
		}
	}
	return append(bytes.TrimSuffix(made, []byte{','}), '}'), nil
}
