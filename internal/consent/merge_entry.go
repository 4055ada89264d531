package consent

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// An entry of a merge is committed with the secret of who stays, so that it goes with that person. Its body names
// nobody; its ident has the ids of both. Where they were taken apart and one of them is erased, the entries that name
// that one go too, see MergedAs.

// MergeEntry makes the entry of a merge, but for its place in the ledger.
func (a Actor) MergeEntry(m *SubjectMerge) LedgerEntry {
	body := appendMember([]byte{'{'}, "entry", MergeEntry.String())
	body = append(appendMember(body, "merged_at", formatInstant(m.MergedAt)), '}')
	return a.entryOfMerge(MergeEntry, m, body)
}

// UnmergeEntry makes the entry by which a merge is undone, but for its place in the ledger. It names the merge by the
// sequence of its entry.
func (a Actor) UnmergeEntry(m *SubjectMerge) LedgerEntry {
	body := appendMember([]byte{'{'}, "entry", UnmergeEntry.String())
	body = strconv.AppendInt(appendName(body, "merge"), m.Entry(), 10)
	body = append(appendMember(body, "undone_at", formatInstant(m.UndoneAt)), '}')
	return a.entryOfMerge(UnmergeEntry, m, body)
}

func (a Actor) entryOfMerge(kind EntryKind, m *SubjectMerge, body []byte) LedgerEntry {
	ident := appendMember([]byte{'{'}, "from_id", m.From.String())
	ident = appendMember(ident, "into_id", m.Into.String())
	ident = append(appendMember(ident, "key", a.Key.String()), '}')
	return LedgerEntry{Organization: a.Organization, Kind: kind, Subject: m.Into, BodyJSON: body, IdentityJSON: ident}
}

// Entry gives the sequence of the entry of a merge.
func (m *SubjectMerge) Entry() int64 { return m.After + 1 }

// UndoneEntry gives the sequence of the entry by which a merge was undone.
func (m *SubjectMerge) UndoneEntry() int64 { return m.UndoneAfter + 1 }

// ReadMerge reads an entry of a merge, or by which one is undone, as the merge that it is about: of the latter there is
// who is who, After, UndoneAt and UndoneAfter, else all but Number and what undoes it. The error says that a blob is
// damaged.
func ReadMerge(e *ExportedEvent) (m SubjectMerge, err error) {
	var body struct {
		Entry    string
		Merge    int64
		MergedAt string `json:"merged_at"`
		UndoneAt string `json:"undone_at"`
	}
	if err := json.Unmarshal(e.BodyJSON, &body); err != nil {
		return m, fmt.Errorf("body: %w", err)
	}
	if body.Entry != e.Kind.String() {
		return m, fmt.Errorf("body: it is that of %.40q", body.Entry)
	}
	var ident struct {
		From string `json:"from_id"`
		Into string `json:"into_id"`
	}
	if err := json.Unmarshal(e.IdentityJSON, &ident); err != nil {
		return m, fmt.Errorf("ident: %w", err)
	}
	from, ok := ParseID(ident.From)
	into, ok2 := ParseID(ident.Into)
	if !ok || !ok2 {
		return m, fmt.Errorf("ident: it does not name two subjects")
	}
	m = SubjectMerge{Into: into, From: from}
	if e.Kind == UnmergeEntry {
		m.After, m.UndoneAfter = body.Merge-1, e.Sequence-1
		m.UndoneAt, err = parseInstant(body.UndoneAt)
		return m, err
	}
	m.After, m.RecordedAt = e.Sequence-1, e.RecordedAt
	m.MergedAt, err = parseInstant(body.MergedAt)
	return m, err
}

func parseInstant(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("body: %.40q is no instant", text)
	}
	return t, nil
}

// CheckMerged holds a merge as it is on record against what its entry says of it. Errors: a *Mismatch.
func CheckMerged(entry, row *SubjectMerge) error {
	for _, pair := range []struct{ what, blob, row string }{
		{"into_id", entry.Into.String(), row.Into.String()},
		{"from_id", entry.From.String(), row.From.String()},
		{"merged_at", formatInstant(entry.MergedAt), formatInstant(row.MergedAt)},
		{"recorded_at", formatInstant(entry.RecordedAt), formatInstant(row.RecordedAt)},
	} {
		if pair.blob != pair.row {
			return &Mismatch{pair.what, pair.blob, pair.row}
		}
	}
	return nil
}

// CheckUnmerged holds the undoing of a merge, as it is on record, against what the entry says of it. Errors: a
// *Mismatch.
func CheckUnmerged(entry, row *SubjectMerge) error {
	for _, pair := range []struct{ what, blob, row string }{
		{"into_id", entry.Into.String(), row.Into.String()},
		{"from_id", entry.From.String(), row.From.String()},
		{"merge", strconv.FormatInt(entry.Entry(), 10), strconv.FormatInt(row.Entry(), 10)},
		{"undone_at", formatInstant(entry.UndoneAt), formatInstant(row.UndoneAt)},
	} {
		if pair.blob != pair.row {
			return &Mismatch{pair.what, pair.blob, pair.row}
		}
	}
	return nil
}

// MergedAs tells whether an entry about somebody names one of others as who was merged into them. The error says that
// a blob is damaged.
func MergedAs(e *ExportedEvent, others map[ID]bool) (bool, error) {
	if e.Kind != MergeEntry && e.Kind != UnmergeEntry {
		return false, nil
	}
	m, err := ReadMerge(e)
	if err != nil {
		return false, fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	return others[m.From], nil
}
