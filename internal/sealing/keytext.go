package sealing

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The key file is lines of words: the version first, then in any order
//
//	ring <32 hex digits>               names the file; stays when keys come and go
//	sign <id> <time> <base64 seed>     the Ed25519 key that signs checkpoints
//	kek  <id> <time> <base64 key>      a key-encryption key; the last is the newest
//	# a comment
//
// An id is derived from its key, so an altered line is told from a whole one. Times are RFC 3339.
const (
	versionWord  = "consentd-keys"
	firstLine    = versionWord + " 1"
	kekIDLabel   = "consentd/kek-id/v1"
	signIDPrefix = "consentd/sign-id/v1"

	// lineRoom is more than a line of a key, for which texts have room, lest growing leaves a copy of them in memory.
	lineRoom = 128
)

const header = firstLine + `
# Key file of a consentd. Whoever has it and the database can read what is known about people;
# whoever loses it has lost that. Keep a copy, and keep it apart from copies of the database.
# The last kek is the newest. Change this file by "consentd keys" only.
`

// KEKID names a key-encryption key. It is no secret.
type KEKID [4]byte

// String gives the id as in the key file: 8 hex digits.
func (id KEKID) String() string { return hex.EncodeToString(id[:]) }

// ParseKEKID reads what String gives. The error does not show what was read.
func ParseKEKID(s string) (KEKID, error) {
	var id KEKID
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), 8)])); err != nil || n != len(id) || len(s) != 8 ||
		strings.ToLower(s) != s {
		return KEKID{}, errors.New("the id of a key is 8 hex digits, such as 0a1b2c3d")
	}
	return id, nil
}

// UnknownKEKError says that the key file, as it was when it was read, has not the key-encryption key that is needed.
type UnknownKEKError struct{ ID KEKID }

// Error names the key.
func (e *UnknownKEKError) Error() string {
	return fmt.Sprintf("the key file has no key %s: read it again if it was rotated, or restore the line", e.ID)
}

// kek is a line of the file.
type kek struct {
	id      KEKID
	created time.Time
	key     Key
	line    int // from 1
}

func kekID(key Key) (KEKID, error) {
	derived, err := key.derive(kekIDLabel)
	if err != nil {
		return KEKID{}, err
	}
	return KEKID(derived.at.bytes[:4]), nil
}

func signID(key SigningKey) (KEKID, error) {
	if !key.seed.usable() {
		return KEKID{}, ErrNoKey
	}
	sum := sha256.Sum256(append([]byte(signIDPrefix), key.Public()...))
	return KEKID(sum[:4]), nil
}

// newText draws the text of a new file.
func newText(random io.Reader, now time.Time) ([]byte, error) {
	var ring [16]byte
	if _, err := io.ReadFull(random, ring[:]); err != nil {
		return nil, fmt.Errorf("draw the ring's name: %w", err)
	}
	seed, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	defer seed.Wipe()
	id, err := signID(SigningKey{seed: seed})
	if err != nil {
		return nil, err
	}
	text := append(make([]byte, 0, len(header)+3*lineRoom), header...)
	text = append(text, "ring "+hex.EncodeToString(ring[:])+"\n"...)
	return appendKEK(appendLine(text, "sign", id, now, seed), nil, random, now)
}

// appendKEK draws a key-encryption key, and appends its line.
func appendKEK(text []byte, known []kek, random io.Reader, now time.Time) ([]byte, error) {
	const tries = 8 // each fails once in 2^32, by a key of another id
	for range tries {
		key, err := NewKey(random)
		if err != nil {
			return nil, err
		}
		id, err := kekID(key)
		if err != nil {
			return nil, err
		}
		if findKEK(known, id) == nil {
			text = appendLine(text, "kek", id, now, key)
			key.Wipe()
			return text, nil
		}
	}
	return nil, errors.New("draw a key: the source of randomness repeats itself")
}

func appendLine(text []byte, word string, id KEKID, created time.Time, key Key) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "%-4s %s %s ", word, id, created.UTC().Format(time.RFC3339))
	return append(base64.StdEncoding.AppendEncode(text, key.at.bytes[:]), '\n')
}

// withoutLines drops lines, counted from 1, and keeps all others as they are.
func withoutLines(text []byte, dropped map[int]bool) []byte {
	kept := make([]byte, 0, len(text))
	n := 0
	for line := range bytes.Lines(text) {
		if n++; !dropped[n] {
			kept = append(kept, line...)
		}
	}
	return kept
}

func findKEK(keks []kek, id KEKID) *kek {
	for i := range keks {
		if keks[i].id == id {
			return &keks[i]
		}
	}
	return nil
}

// parse reads a key file. Errors name the line and what to do, and show nothing of a line, which may be a key.
func parse(text []byte) (*File, error) {
	f, n := &File{}, 0
	for line := range bytes.Lines(text) {
		n++
		words := bytes.Fields(line)
		var err error
		switch {
		case n == 1:
			err = parseVersion(words)
		case len(words) == 0 || words[0][0] == '#':
		default:
			err = f.parseLine(words, n)
		}
		if err != nil {
			f.Wipe()
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := f.complete(n); err != nil {
		f.Wipe()
		return nil, err
	}
	return f, nil
}

func parseVersion(words [][]byte) error {
	switch {
	case len(words) == 2 && string(words[0])+" "+string(words[1]) == firstLine:
		return nil
	case len(words) > 0 && string(words[0]) == versionWord:
		return errors.New("this form of the file is not known here: use the consentd that wrote it, or a newer one")
	}
	return fmt.Errorf("must be %q: this is no key file, or its first line was lost", firstLine)
}

// complete says what is missing.
func (f *File) complete(lines int) error {
	switch {
	case lines == 0:
		return errors.New("is empty: restore it from a copy")
	case f.ring == "":
		return errors.New("has no ring line: restore it from a copy")
	case len(f.keks) == 0:
		return errors.New("has no kek line, so nothing can be read: restore it from a copy")
	case !f.sign.seed.usable():
		return errors.New("has no sign line: restore it from a copy")
	}
	return nil
}

func (f *File) parseLine(words [][]byte, n int) error {
	switch string(words[0]) {
	case "ring":
		return f.parseRing(words)
	case "sign":
		return f.parseSign(words)
	case "kek":
		return f.parseKEK(words, n)
	}
	return errors.New("must begin with ring, sign, kek or #; if an editor broke a key's line in two, join them")
}

func (f *File) parseRing(words [][]byte) error {
	if f.ring != "" {
		return errors.New("a second ring line: this file was put together from two; use one of them")
	}
	const size = 16
	name := make([]byte, hex.DecodedLen(len(words[len(words)-1])))
	if _, err := hex.Decode(name, words[len(words)-1]); err != nil || len(words) != 2 || len(name) != size {
		return errors.New("must be ring and 32 hex digits: restore the line from a copy")
	}
	f.ring = hex.EncodeToString(name)
	return nil
}

func (f *File) parseSign(words [][]byte) error {
	id, created, seed, err := parseKeyLine(words)
	if err != nil {
		return err
	}
	key := SigningKey{seed: seed}
	if derived, err := signID(key); err != nil || derived != id {
		return errAltered
	}
	if f.sign.seed.usable() {
		return errors.New("a second sign line: keep the one whose key signs now")
	}
	f.sign, f.signed = key, created
	return nil
}

func (f *File) parseKEK(words [][]byte, n int) error {
	id, created, key, err := parseKeyLine(words)
	if err != nil {
		return err
	}
	if derived, err := kekID(key); err != nil || derived != id {
		return errAltered
	}
	if before := findKEK(f.keks, id); before != nil {
		return fmt.Errorf("the key %s stands in line %d already: remove one of the two", id, before.line)
	}
	f.keks = append(f.keks, kek{id, created, key, n})
	return nil
}

var errAltered = errors.New("the key is not the one that its id names, so the line was altered: restore it from a copy")

// parseKeyLine reads: word id time base64.
func parseKeyLine(words [][]byte) (KEKID, time.Time, Key, error) {
	if len(words) != 4 {
		return KEKID{}, time.Time{}, Key{},
			errors.New("must have an id, a time and a key, with spaces between: restore the line from a copy")
	}
	id, err := ParseKEKID(string(words[1]))
	if err != nil {
		return KEKID{}, time.Time{}, Key{}, fmt.Errorf("%w: restore the line from a copy", err)
	}
	created, err := time.Parse(time.RFC3339, string(words[2]))
	if err != nil { // whose text would show what was read
		return KEKID{}, time.Time{}, Key{},
			errors.New("the time must be as in RFC 3339, such as 2026-01-31T12:00:00Z: restore the line from a copy")
	}
	key := keyOf(new([KeySize]byte))
	const encoded = 44
	var room [encoded / 4 * 3]byte
	n := 0
	if len(words[3]) == encoded {
		n, err = base64.StdEncoding.Strict().Decode(room[:], words[3])
	}
	copy(key.at.bytes[:], room[:])
	clear(room[:])
	if err != nil || n != KeySize || !key.usable() {
		return KEKID{}, time.Time{}, Key{},
			errors.New("the key must be 32 bytes in base64, 44 characters: restore the line from a copy")
	}
	return id, created, key, nil
}
