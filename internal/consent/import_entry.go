package consent

import (
	"encoding/json"
	"errors"
	"strconv"
)

// ImportEntry makes the entry of an import that ended, but for its place in the ledger: from which source and into
// which project it was, and what became of its lines. The fingerprint is not in it: that is free text, which may name a
// person, and the entry is there for good.
func (a Actor) ImportEntry(run *ImportRun, project ID) LedgerEntry {
	return a.entryOf(ImportEntry, run.entryBody(project))
}

func (i *ImportRun) entryBody(project ID) []byte {
	number := func(b []byte, name string, n int64) []byte { return strconv.AppendInt(appendName(b, name), n, 10) }
	b := number([]byte{'{'}, "accepted", i.Accepted)
	b = appendMember(b, "created_at", formatInstant(i.CreatedAt))
	b = number(b, "duplicates", i.Duplicates)
	b = appendMember(b, "entry", ImportEntry.String())
	b = appendMember(b, "finished_at", formatInstant(i.FinishedAt))
	b = appendMember(b, "import_id", i.ID.String())
	b = appendMember(b, "project", project.String())
	b = number(b, "rejected", i.Rejected)
	return append(appendMember(b, "source", i.Source), '}')
}

// ReadImport reads which import an entry is about. The error says that it is none of an import.
func ReadImport(body []byte) (ID, error) {
	var said struct {
		Entry  string
		Import string `json:"import_id"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return NoID, err
	}
	id, ok := ParseID(said.Import)
	if !ok || said.Entry != ImportEntry.String() {
		return NoID, errors.New("it names no import")
	}
	return id, nil
}

// CheckImport holds an import as it is on record, into a project, against the body of its entry. Errors: a *Mismatch,
// or that the body is damaged.
func CheckImport(body []byte, run *ImportRun, project ID) error {
	return sameMembers(body, run.entryBody(project), func(string) bool { return true })
}
