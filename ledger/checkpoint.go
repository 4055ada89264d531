package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote is how long a signed checkpoint may be. A hundred signatures fit, which is as many as package note reads.
const maxNote = 1 << 20

// A Checkpoint says what a ledger was at one time: how many entries it had, and the root over them. Its text is that
// of C2SP tlog-checkpoint.
type Checkpoint struct {
	Origin    string // names the ledger
	Size      int64
	Root      tlog.Hash
	Extension []string // further lines, which ours have none of
}

// Text gives the checkpoint in its form, ending in a newline. A field that does not fit the form is an error that wraps
// ErrMalformed.
func (c *Checkpoint) Text() (string, error) {
	if c.Size < 0 || c.Size > maxSize {
		return "", fmt.Errorf("%w: a checkpoint of %d entries", ErrMalformed, c.Size)
	}
	lines := append([]string{c.Origin, strconv.FormatInt(c.Size, 10), c.Root.String()}, c.Extension...)
	if err := checkLines(lines); err != nil {
		return "", err
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// ParseCheckpoint reads what Text writes, and nothing else; an error wraps ErrMalformed.
func ParseCheckpoint(text string) (*Checkpoint, error) {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) < 3 {
		return nil, fmt.Errorf("%w: a checkpoint has three lines at least", ErrMalformed)
	}
	if err := checkLines(lines); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("%w: the second line of a checkpoint is its size in digits, and %.80q is none", ErrMalformed,
			lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return nil, fmt.Errorf("%w: the third line of a checkpoint is a root, 32 bytes in base64, and %.80q is none",
			ErrMalformed, lines[2])
	}
	c := &Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	c.Extension = append(c.Extension, lines[3:]...)
	return c, nil
}

// checkLines holds lines against signed-note, section "Format", and tlog-checkpoint, which wants none of them empty.
func checkLines(lines []string) error {
	for _, line := range lines {
		if line == "" || !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
			return fmt.Errorf("%w: a checkpoint with the line %q", ErrMalformed, line)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 }

// Sign gives the checkpoint as a signed note (C2SP signed-note). One of the signers at least must be named as the
// checkpoint's origin, or Open would refuse it: an error that wraps ErrUnsigned.
func Sign(c *Checkpoint, signers ...note.Signer) ([]byte, error) {
	text, err := c.Text()
	if err != nil {
		return nil, err
	}
	own := false
	for _, s := range signers {
		own = own || s.Name() == c.Origin
	}
	if !own {
		return nil, fmt.Errorf("%w: no signer is named %q", ErrUnsigned, c.Origin)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return signed, nil
}

// Open reads a signed checkpoint of the ledger that is called origin, and verifies it: a key of that name among
// verifiers has signed it, and no signature by any key of theirs is wrong. Signatures by other keys do not matter.
// verifiers may hold witnesses too; the note tells in Sigs whose signatures were verified. An error wraps ErrMalformed,
// ErrSignature, ErrUnsigned or ErrOrigin. Safe for use by many at once where verifiers are.
func Open(signed []byte, origin string, verifiers note.Verifiers) (*Checkpoint, *note.Note, error) {
	if len(signed) > maxNote {
		return nil, nil, fmt.Errorf("%w: a checkpoint of %d bytes", ErrMalformed, len(signed))
	}
	n, err := note.Open(signed, verifiers)
	var wrong *note.InvalidSignatureError
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &wrong):
		return nil, nil, fmt.Errorf("%w: the checkpoint is not what %s signed", ErrSignature, wrong.Name)
	case errors.As(err, &unverified):
		return nil, nil, fmt.Errorf("%w: no trusted key signed the checkpoint", ErrUnsigned)
	case err != nil:
		return nil, nil, fmt.Errorf("%w: not a signed checkpoint: %w", ErrMalformed, err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, nil, err
	}
	if c.Origin != origin {
		return nil, nil, fmt.Errorf("%w: the checkpoint is of %q, not of %q", ErrOrigin, c.Origin, origin)
	}
	for _, sig := range n.Sigs {
		if sig.Name == origin {
			return c, n, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: only others signed the checkpoint of %q", ErrUnsigned, origin)
}
