package consent

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/consentd/consentd/ledger"
)

// EraseSubject asks to forget a person, by a subject's own id (GDPR Art. 17).
type EraseSubject struct {
	Subject     ID
	Reason      string // stays in the ledger for good, so it must not tell who it was; empty: none
	Suppress    bool   // a keyed hash of each identifier stays, by which checks say no
	Idempotency Idempotency
}

// Erasure is that of a person: what stays with the id.
type Erasure struct {
	At       time.Time // zero: there was none
	Sequence int64     // of its entry in the ledger
	Events   int64     // how many decisions were erased
	Suppress bool      // the identifiers were suppressed
}

// Erased answers EraseSubject, also where it was done before.
type Erased struct {
	Subject ID
	Erasure
}

// MaxReason is how many bytes the reason of an erasure or a restriction may have.
const MaxReason = 500

// CheckReason refuses with Unprocessable a reason that is too long to be kept, or that is no text.
func CheckReason(reason string) error {
	if len(reason) > MaxReason || !utf8.ValidString(reason) {
		return Errorf(Unprocessable, "reason", "must be text of %d bytes at most", MaxReason)
	}
	return nil
}

// ErasureEntry makes the entry of an erasure, but for its place in the ledger. What it says of the person is the id,
// and which entries it took, events of which were decisions: so nobody can take others and call it an erasure.
func (a Actor) ErasureEntry(in *EraseSubject, events int64, took *ledger.ErasedSet) LedgerEntry {
	e := a.entryAbout(ErasureEntry, in.Subject, in.Reason, func(body []byte) []byte {
		body = strconv.AppendInt(appendName(body, "events"), events, 10)
		if others := took.Count - events; others > 0 {
			body = strconv.AppendInt(appendName(body, "others"), others, 10)
		}
		if took.Count > 0 {
			body = appendMember(body, "entries", hex.EncodeToString(took.Sum[:]))
		}
		return body
	}, func(body []byte) []byte {
		if in.Suppress {
			body = append(appendName(body, "suppress"), "true"...)
		}
		return body
	})
	e.Subject = NoID // whose secret goes with the person
	return e
}

// ReadErasure reads which entries an erasure took from its body. The error says that it is no such body.
func ReadErasure(body []byte) (s ledger.ErasedSet, err error) {
	var said struct {
		Events, Others int64
		Entries        string
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return s, err
	}
	s.Count = said.Events + said.Others
	sum, err := hex.DecodeString(said.Entries)
	if took := s.Count > 0; err != nil || took != (len(sum) == len(s.Sum)) || s.Count < 0 {
		return s, errors.New("it does not say which entries it took")
	}
	copy(s.Sum[:], sum)
	return s, nil
}

// entryAbout makes an entry about a subject; middle and end, where set, add members to the body that stand behind
// "entry" and behind "reason".
func (a Actor) entryAbout(kind EntryKind, subject ID, reason string, middle, end func([]byte) []byte) LedgerEntry {
	body := appendMember([]byte{'{'}, "entry", kind.String())
	if middle != nil {
		body = middle(body)
	}
	if body = appendMember(body, "reason", reason); end != nil {
		body = end(body)
	}
	body = append(body, '}')
	ident := appendMember([]byte{'{'}, "key", a.Key.String())
	ident = append(appendMember(ident, "subject_id", subject.String()), '}')
	return LedgerEntry{Organization: a.Organization, Kind: kind, Subject: subject, BodyJSON: body, IdentityJSON: ident}
}

// Err refuses with Gone where there was an erasure.
func (e Erasure) Err() error {
	if e.At.IsZero() {
		return nil
	}
	return &Error{Kind: Gone, Msg: "this person was erased", ErasedAt: e.At}
}
