package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// object keeps its members in order, so that captures and failures come in the order of the transcript.
type object []member

type member struct {
	name  string
	value any
}

func (o object) find(name string) int {
	for i := range o {
		if o[i].name == name {
			return i
		}
	}
	return -1
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(show(m.name) + ":" + show(m.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// decode reads JSON values, one after the other. It refuses what encoding/json forgives: repeated members, bad UTF-8.
func decode(data []byte) ([]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var values []any
	for {
		var raw json.RawMessage // checks the syntax, which reading tokens does not do fully
		switch err := dec.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, err
		}
		tokens := json.NewDecoder(bytes.NewReader(raw))
		tokens.UseNumber()
		v, err := readValue(tokens)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

func readValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('['):
		return readArray(dec)
	case json.Delim('{'):
		return readObject(dec)
	}
	return tok, nil
}

func readArray(dec *json.Decoder) (any, error) {
	values := []any{}
	for dec.More() {
		v, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	_, err := dec.Token()
	return values, err
}

func readObject(dec *json.Decoder) (any, error) {
	o := object{}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		if seen[name.(string)] {
			return nil, fmt.Errorf("member %q twice", name)
		}
		seen[name.(string)] = true
		o = append(o, member{name.(string), v})
	}
	_, err := dec.Token()
	return o, err
}
