package consent

import (
	"encoding/json"
	"fmt"
	"time"
)

// Message is a notice to a webhook about an entry of the ledger; NoID: about none.
type Message struct {
	Notice
	Entry ID
}

// MessagesOf gives what a decision is told as.
func MessagesOf(v *EventView) []Message {
	m := Message{Notice{Type: ConsentRecorded, At: v.RecordedAt, Event: v, Sequence: v.Sequence}, v.ID}
	if v.State != Withdrawn {
		return []Message{m}
	}
	withdrawn := m
	withdrawn.Type = ConsentWithdrawn
	return []Message{m, withdrawn}
}

// Message gives what an entry that is no decision is told as; one without a type is told to nobody. The error says that
// a blob is damaged.
func (e *ExportedEvent) Message() (m Message, err error) {
	m = Message{Notice{At: e.RecordedAt, Sequence: e.Sequence}, e.ID}
	switch e.Kind {
	case MergeEntry, UnmergeEntry:
		merge, err := ReadMerge(e)
		m.Subject, m.Merged = merge.Into, merge.From
		if m.Type = SubjectMerged; e.Kind == UnmergeEntry {
			m.Type = SubjectUnmerged
		}
		return m, err
	case ErasureEntry:
		m.Type = SubjectErased
		m.Subject, err = subjectOfEntry(e.IdentityJSON)
		return m, err
	case PurposeEntry:
		return m.versioned(e)
	}
	return m, nil
}

// versionedWithin is how soon after a version began to hold its entry is recorded. Later entries of the version are
// about other changes of the purpose.
const versionedWithin = time.Minute

// versioned tells of a purpose's entry, where that may have made a version.
func (m Message) versioned(e *ExportedEvent) (Message, error) {
	var said struct {
		HeldFrom string `json:"held_from"`
	}
	err := json.Unmarshal(e.BodyJSON, &said)
	if err != nil {
		return m, err
	}
	from, err := parseInstant(said.HeldFrom)
	if err != nil || e.RecordedAt.Sub(from) > versionedWithin {
		return m, err
	}
	name, err := ReadPurpose(e.BodyJSON)
	project, ok := ParseID(name.Project)
	if err == nil && !ok {
		err = fmt.Errorf("body: it names no project")
	}
	m.Type, m.Project, m.Purpose, m.Version = PurposeVersioned, project, name.Purpose, name.Version
	return m, err
}

// subjectOfEntry reads whom an entry is about.
func subjectOfEntry(ident []byte) (ID, error) {
	var said struct {
		Subject string `json:"subject_id"`
	}
	if err := json.Unmarshal(ident, &said); err != nil {
		return NoID, fmt.Errorf("ident: %w", err)
	}
	id, ok := ParseID(said.Subject)
	if !ok {
		return NoID, fmt.Errorf("ident: it names no subject")
	}
	return id, nil
}
