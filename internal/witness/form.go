package witness

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

// textOf gives what is signed of a signed note, with its last newline (C2SP signed-note, section "Format").
func textOf(signed []byte) ([]byte, error) {
	at := bytes.LastIndex(signed, []byte("\n\n"))
	if at < 0 || !bytes.HasSuffix(signed, []byte("\n")) {
		return nil, fmt.Errorf("%w: not a signed note", ledger.ErrMalformed)
	}
	return signed[:at+1], nil
}

// request makes the body of a call.
func request(old int64, proof []tlog.Hash, size int64, checkpoint []byte) ([]byte, error) {
	if old < 0 || old > size || len(proof) > maxProof || old == 0 && len(proof) > 0 {
		return nil, fmt.Errorf("%w: a proof of %d hashes from %d entries to %d", ledger.ErrMalformed, len(proof), old, size)
	}
	body := fmt.Appendf(nil, "old %d\n", old)
	for _, hash := range proof {
		body = append(base64.StdEncoding.AppendEncode(body, hash[:]), '\n')
	}
	return append(append(body, '\n'), checkpoint...), nil
}

var errNoSize = errors.New("the witness answered 409 without the size that it has seen")

// readAnswer reads what a witness answered about a checkpoint with that text and size. Whatever that is, it does not
// panic.
func readAnswer(key *ledger.Cosigner, old, size int64, text []byte, status int, answer []byte) ([]byte, error) {
	switch {
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the witness answered more than %d bytes", maxAnswer)
	case status == http.StatusOK:
		return findCosignature(key, text, answer)
	case status == http.StatusNotFound, status == http.StatusForbidden:
		return nil, ErrUnknown
	case status == http.StatusUnprocessableEntity:
		return nil, ErrInconsistent
	case status != http.StatusConflict:
		return nil, fmt.Errorf("the witness answered with the status %d", status)
	}
	seen, err := parseSize(answer)
	switch {
	case old == size && (err != nil || seen == old): // the roots differ, for which no body is laid down
		return nil, ErrInconsistent
	case err != nil:
		return nil, err
	case seen == old:
		return nil, errors.New("the witness has seen what it was asked to go on from, and refuses to")
	}
	return nil, &SizeError{seen}
}

// parseSize reads a size in decimal with a newline behind it.
func parseSize(answer []byte) (int64, error) {
	text := strings.TrimSuffix(string(answer), "\n")
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != text {
		return 0, errNoSize
	}
	return size, nil
}

// findCosignature finds the key's signature among the lines of an answer, and verifies it. Lines of other keys do not
// matter, but for their form.
func findCosignature(key *ledger.Cosigner, text, answer []byte) ([]byte, error) {
	var found []byte
	for line := range strings.Lines(string(answer)) {
		name, sig, ok := parseSignature(line)
		if !ok {
			return nil, errors.New("the witness answered what is no signature line")
		}
		if name != key.Name() || binary.BigEndian.Uint32(sig) != key.KeyHash() {
			continue
		}
		if found != nil {
			return nil, errors.New("the witness answered with two signatures of one key")
		}
		if !key.Verify(text, sig[4:]) {
			return nil, errors.New("the witness's signature is not over this checkpoint, or not by its key")
		}
		found = []byte(line)
	}
	if found == nil {
		return nil, errors.New("the witness answered without a signature by its key")
	}
	return found, nil
}

// parseSignature reads a signature line: the name of the key, and its id with the signature (signed-note, section
// "Signatures").
func parseSignature(line string) (name string, sig []byte, ok bool) {
	rest, dash := strings.CutPrefix(line, "— ")
	rest, ended := strings.CutSuffix(rest, "\n")
	name, encoded, parted := strings.Cut(rest, " ")
	sig, err := base64.StdEncoding.Strict().DecodeString(encoded)
	ok = dash && ended && parted && name != "" && err == nil && len(sig) > 4 &&
		base64.StdEncoding.EncodeToString(sig) == encoded // one form: the decoder passes over newlines
	return name, sig, ok
}
