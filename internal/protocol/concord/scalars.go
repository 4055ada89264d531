package concord

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// The types of this file are the JSON scalars of the protocol. They read and write
// themselves, since events come by the thousand. In requests null counts as absent.
// Their errors name no field: package protocol adds the place.

// read reads a string by its parser; of null it makes nothing. What the parser gets is
// good until it returns.
func read[T any](dec *jsontext.Decoder, into *T, parse func([]byte) (T, error)) error {
	switch dec.PeekKind() {
	case 'n':
		_, err := dec.ReadToken()
		return err
	case '"':
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		s := raw[1 : len(raw)-1]
		if bytes.IndexByte(s, '\\') >= 0 {
			if s, err = jsontext.AppendUnquote(nil, raw); err != nil {
				return err
			}
		}
		*into, err = parse(s)
		return err
	default:
		return wrongKind(dec, "", "must be a string")
	}
}

// wrongKind refuses the next value, or tells that there is none.
func wrongKind(dec *jsontext.Decoder, field, msg string) error {
	if dec.PeekKind() == jsontext.KindInvalid {
		_, err := dec.ReadToken()
		return err
	}
	return invalid(field, msg)
}

// text is a string that may be absent.
type text struct {
	value string
	given bool
}

func parseText(s []byte) (text, error) { return text{string(s), true}, nil }

// UnmarshalJSONFrom reads a string or null.
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, t, parseText) }

// MarshalJSONTo writes the string.
func (t text) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteToken(jsontext.String(t.value))
}

// word is a string, or an array of one string, which counts as its element [ours].
type word text

const notWord = "must be a string or an array of one string"

// UnmarshalJSONFrom reads a string, an array of one string, or null.
func (w *word) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '[' {
		return (*text)(w).UnmarshalJSONFrom(dec)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if dec.PeekKind() != '"' {
		return wrongKind(dec, "", notWord)
	}
	if err := (*text)(w).UnmarshalJSONFrom(dec); err != nil {
		return err
	}
	if dec.PeekKind() != ']' {
		return wrongKind(dec, "", notWord)
	}
	_, err := dec.ReadToken()
	return err
}

// id is a UUID; zero where absent.
type id consent.ID

// parseID refuses the nil UUID: it stands for nothing, and must not name whoever else sends it.
func parseID(s []byte) (id, error) {
	parsed, ok := consent.ParseID(string(s))
	if !ok || parsed == consent.NoID {
		return id{}, invalid("", "must be a UUID, and not the nil one")
	}
	return id(parsed), nil
}

// UnmarshalJSONFrom reads a UUID or null.
func (i *id) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, i, parseID) }

// MarshalJSONTo writes the UUID in lower case.
func (i id) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(appendID(enc.AvailableBuffer(), consent.ID(i)))
}

func appendID(b []byte, i consent.ID) []byte {
	var t [38]byte
	t[0], t[9], t[14], t[19], t[24], t[37] = '"', '-', '-', '-', '-', '"'
	hex.Encode(t[1:9], i[:4])
	hex.Encode(t[10:14], i[4:6])
	hex.Encode(t[15:19], i[6:8])
	hex.Encode(t[20:24], i[8:10])
	hex.Encode(t[25:37], i[10:])
	return append(b, t[:]...)
}

// instant is a date and time: RFC 3339 in a request, RFC 3339 UTC with up to
// microseconds in an answer. Zero where absent.
type instant struct{ time.Time }

// parseInstant admits the years 1970 to 9999, as the core does: the core's zero time means something else.
func parseInstant(s []byte) (instant, error) {
	t, err := consent.ParseInstant(s)
	if err != nil {
		return instant{}, err
	}
	if t.Year() < 1970 || t.Year() > 9999 {
		return instant{}, invalid("", "must be in the years 1970 to 9999")
	}
	return instant{t}, nil
}

// UnmarshalJSONFrom reads an instant or null.
func (t *instant) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, t, parseInstant) }

// MarshalJSONTo writes the instant.
func (t instant) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(appendInstant(enc.AvailableBuffer(), t.Time))
}

func appendInstant(b []byte, t time.Time) []byte {
	// Package time is quick with this layout.
	b = t.UTC().Truncate(time.Microsecond).AppendFormat(append(b, '"'), time.RFC3339Nano)
	return append(b, '"')
}

// epoch is an instant as integer milliseconds since 1970.
type epoch struct{ time.Time }

// MarshalJSONTo writes the milliseconds.
func (t epoch) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(strconv.AppendInt(enc.AvailableBuffer(), t.UnixMilli(), 10))
}

// named is a value of ours by its name in the protocol.
type named[T any] struct {
	name  string
	value T
}

// find finds a name; the error lists those there are.
func find[T any](names []named[T], s []byte) (value T, err error) {
	for i := range names {
		if string(s) == names[i].name {
			return names[i].value, nil
		}
	}
	all := make([]string, len(names))
	for i := range names {
		all[i] = names[i].name
	}
	return value, invalid("", "must be one of "+strings.Join(all, ", "))
}

// oneOf refuses a word that is not among those allowed.
func oneOf(field, given string, allowed ...string) error {
	if slices.Contains(allowed, given) {
		return nil
	}
	return invalid(field, "must be one of "+strings.Join(allowed, ", "))
}

// state is a consentState; zero where absent.
type state consent.State

// states are the states of a request.
var states = []named[state]{
	{"implied", state(consent.Implied)}, {"viewed", state(consent.Viewed)},
	{"accepted", state(consent.Accepted)}, {"declined", state(consent.Declined)},
}

func parseState(s []byte) (state, error) { return find(states, s) }

// UnmarshalJSONFrom reads a state or null.
func (s *state) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, s, parseState) }

// showState names a state; withdrawn shows as declined [ours].
func showState(s consent.State) string {
	if s == consent.Withdrawn {
		s = consent.Declined
	}
	return s.String()
}

// action is a consentAction; zero where absent.
type action consent.Action

// actions are the actions of a request.
var actions = []named[action]{
	{"implied", action(consent.ImpliedAction)}, {"user_click", action(consent.UserClick)},
	{"import", action(consent.Import)},
}

func parseAction(s []byte) (action, error) { return find(actions, s) }

// UnmarshalJSONFrom reads an action or null.
func (a *action) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, a, parseAction) }

// showAction names an action; what consentd did by itself shows as import [ours].
func showAction(a consent.Action) string {
	if a == consent.System {
		a = consent.Import
	}
	return a.String()
}

// category is the first word of the triple; empty where absent.
type category string

var categories = []named[category]{
	{"disclosure", "disclosure"}, {"communication", "communication"},
	{"privacy_setting", "privacy_setting"}, {"custom", "custom"},
}

func parseCategory(s []byte) (category, error) { return find(categories, s) }

// UnmarshalJSONFrom reads a category or null.
func (c *category) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, c, parseCategory) }

// label is the last word of the triple; empty where absent.
type label string

const maxLabel = 128

// parseLabel reads [a-z0-9_*]{1,128}.
func parseLabel(s []byte) (label, error) {
	ok := len(s) >= 1 && len(s) <= maxLabel
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '*')
	}
	if !ok {
		return "", invalid("", "must be 1 to 128 of a-z, 0-9, _ and *")
	}
	if string(s) == consent.AnyLabel {
		return consent.AnyLabel, nil
	}
	return label(s), nil
}

// UnmarshalJSONFrom reads a label or null.
func (l *label) UnmarshalJSONFrom(dec *jsontext.Decoder) error { return read(dec, l, parseLabel) }
