package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// UnmarshalJSON reads a proof strictly: each member once, no other, none null, and base64 in its one canonical form. So
// all who read it read the same. An error wraps ErrMalformed.
func (p *Proof) UnmarshalJSON(data []byte) error {
	var read Proof
	var hashes []canonical
	err := readObject(data, map[string]any{
		"event": &read.Event, "index": &read.Index, "size": &read.Size, "leaf": (*canonical)(&read.Leaf),
		"hashes": &hashes, "checkpoint": (*canonical)(&read.Checkpoint),
	})
	if err != nil {
		return fmt.Errorf("%w: not a proof: %w", ErrMalformed, err)
	}
	if read.Hashes, err = hashesOf(hashes); err != nil {
		return err
	}
	*p = read
	return nil
}

// UnmarshalJSON reads a proof as strictly as that of an entry. An error wraps ErrMalformed.
func (p *Consistency) UnmarshalJSON(data []byte) error {
	var read Consistency
	var hashes []canonical
	err := readObject(data, map[string]any{"from": &read.From, "to": &read.To, "hashes": &hashes})
	if err != nil {
		return fmt.Errorf("%w: not a consistency proof: %w", ErrMalformed, err)
	}
	if read.Hashes, err = hashesOf(hashes); err != nil {
		return err
	}
	*p = read
	return nil
}

// canonical is bytes in base64, of which only the form is taken that an encoder writes.
type canonical []byte

func (c *canonical) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(b) != text {
		return errors.New("it is no base64 in canonical form")
	}
	*c = b
	return nil
}

func hashesOf(texts []canonical) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		if len(text) != tlog.HashSize {
			return nil, fmt.Errorf("%w: hash %d of a proof has %d bytes", ErrMalformed, i, len(text))
		}
		hashes[i] = tlog.Hash(text)
	}
	return hashes, nil
}

// readObject reads a JSON object that has each of the members once and no other. It empties members. Package json alone
// would take a member twice, in other letters, or as null.
func readObject(data []byte, members map[string]any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder gives nothing else here
		into, ok := members[name]
		if !ok {
			return fmt.Errorf("it has %q twice, or where it may not", name)
		}
		delete(members, name)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if string(value) == "null" {
			return fmt.Errorf("%q is null", name)
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows it")
	}
	if len(members) > 0 {
		return fmt.Errorf("%q is missing", slices.Sorted(maps.Keys(members)))
	}
	return nil
}
