package consent

import (
	"encoding/json"
	"fmt"
	"time"
)

// ExportedSubject is what is held of a person (GDPR Art. 15 and 20), but for what grows without bounds: the versions of
// records, the decisions and the requests.
type ExportedSubject struct {
	At       time.Time // of this instant is how the consents stand
	By       Key       // who asked for it; of the configured root key there is the id alone
	Subject  *SubjectView
	Names    []OwnedIdentifier // as the view's identifiers, with whose they were before merges
	Merges   []SubjectMerge    // all that stand and led to the subject, in the order of recording
	Consents []SubjectConsent
}

// SubjectRequest is an entry of the ledger about a person that is no decision.
type SubjectRequest struct {
	Subject    ID // as known when it was recorded
	Sequence   int64
	Kind       EntryKind
	RecordedAt time.Time
	Reason     string
	Key        ID // by which it came
	// Into and From are who was merged into whom, of a MergeEntry or an UnmergeEntry.
	Into, From ID
}

// RequestOf reads an entry about a person. The error says that a blob is damaged.
func RequestOf(e *ExportedEvent) (SubjectRequest, error) {
	r := SubjectRequest{Subject: e.Subject, Sequence: e.Sequence, Kind: e.Kind, RecordedAt: e.RecordedAt}
	var body struct{ Reason string }
	if err := json.Unmarshal(e.BodyJSON, &body); err != nil {
		return r, fmt.Errorf("body of entry %d: %w", e.Sequence, err)
	}
	var ident struct{ Key string }
	if err := json.Unmarshal(e.IdentityJSON, &ident); err != nil {
		return r, fmt.Errorf("ident of entry %d: %w", e.Sequence, err)
	}
	key, ok := ParseID(ident.Key)
	if !ok {
		return r, fmt.Errorf("ident of entry %d names no key", e.Sequence)
	}
	r.Reason, r.Key = body.Reason, key
	if e.Kind == MergeEntry || e.Kind == UnmergeEntry {
		m, err := ReadMerge(e)
		if err != nil {
			return r, fmt.Errorf("entry %d: %w", e.Sequence, err)
		}
		r.Into, r.From = m.Into, m.From
	}
	return r, nil
}
