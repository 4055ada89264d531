package consent

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// PurposeEntry makes the entry of a purpose as it is from now on, but for its place in the ledger: when it is made, and
// at each change. project is the id of its project. What it says goes into the body; texts, which may be long, by their
// hashes.
func (a Actor) PurposeEntry(project ID, p *Purpose) LedgerEntry {
	ident := append(appendMember([]byte{'{'}, "key", a.Key.String()), '}')
	return LedgerEntry{Organization: a.Organization, Kind: PurposeEntry, BodyJSON: p.entryBody(project),
		IdentityJSON: ident}
}

// entryBody says all of a purpose, as canonical JSON: the members are in order.
func (p *Purpose) entryBody(project ID) []byte {
	b := appendMember([]byte{'{'}, "category", p.Taxonomy.Category)
	b = appendMember(b, "description", p.Description)
	b = appendMember(b, "duration", string(p.Duration))
	b = appendMember(b, "entry", PurposeEntry.String())
	b = appendMember(b, "held_from", formatInstant(p.HeldFrom))
	b = appendMember(b, "label", p.Taxonomy.Label)
	b = appendMember(b, "legal_basis", string(p.LegalBasis))
	b = appendMember(b, "legal_text", textName(p.DocumentHash))
	b = appendMember(b, "name", p.Name)
	b = appendMember(b, "project", project.String())
	b = appendMember(b, "purpose", p.Key)
	b = appendMember(b, "purpose_id", p.ID.String())
	b = strconv.AppendBool(appendName(b, "read_only"), p.ReadOnly)
	b = strconv.AppendBool(appendName(b, "require_reaccept"), p.RequireReaccept)
	b = strconv.AppendBool(appendName(b, "required"), p.Required)
	b = strconv.AppendInt(appendName(b, "revision"), int64(p.Revision), 10)
	b = appendMember(b, "status", p.Status)
	b = appendMember(b, "subcategory", p.Taxonomy.Subcategory)
	b = appendMember(b, "translations", textName(p.TextsHash))
	b = appendMember(b, "url", p.URL)
	states := make([]string, len(p.ValidStates))
	for i, s := range p.ValidStates {
		states[i] = s.String()
	}
	b = appendMember(b, "valid_states", strings.Join(states, " "))
	return append(strconv.AppendInt(appendName(b, "version"), int64(p.Version), 10), '}')
}

// textName names a text by its SHA-256; empty: there is none.
func textName(hash []byte) string {
	if len(hash) == 0 {
		return ""
	}
	return textPrefix + hex.EncodeToString(hash)
}

// ofVersion are the members of a PurposeEntry that every version has, also those before the current one.
var ofVersion = []string{"description", "held_from", "legal_basis", "legal_text", "name", "project", "purpose",
	"purpose_id", "require_reaccept", "translations", "url", "version"}

// PurposeName names a version of a purpose as the body of an entry does.
type PurposeName struct {
	Project, Purpose string // the project's id, and the purpose's key
	Version          int
}

// ReadPurpose reads which version of which purpose a PurposeEntry's body is about. The error says that it is none.
func ReadPurpose(body []byte) (PurposeName, error) {
	var said struct {
		Entry, Project, Purpose string
		Version                 int
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return PurposeName{}, err
	}
	if said.Entry != PurposeEntry.String() || said.Version < 1 {
		return PurposeName{}, fmt.Errorf("it names no version of a purpose")
	}
	return PurposeName{said.Project, said.Purpose, said.Version}, nil
}

// CheckPurpose holds a purpose as it is on record against the body of its newest entry. Errors: a *Mismatch, or that
// the body is damaged.
func CheckPurpose(body []byte, project ID, p *Purpose) error {
	return sameMembers(body, p.entryBody(project), func(string) bool { return true })
}

// CheckVersion holds a version of a purpose that is not the current one any more against the body of its newest entry.
// Errors: those of CheckPurpose.
func CheckVersion(body []byte, project ID, p *Purpose, v *PurposeVersion) error {
	was := *p
	was.Version, was.LegalBasis, was.RequireReaccept, was.HeldFrom = v.Number, v.LegalBasis, v.RequireReaccept, v.HeldFrom
	was.Name, was.Description, was.URL, was.DocumentHash, was.TextsHash = v.Name, v.Description, v.URL, v.DocumentHash,
		v.TextsHash
	return sameMembers(body, was.entryBody(project), func(name string) bool { return slices.Contains(ofVersion, name) })
}

// sameMembers compares members of two objects, those that count.
func sameMembers(said, row []byte, counts func(name string) bool) error {
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal(said, &a); err != nil {
		return err
	}
	if err := json.Unmarshal(row, &b); err != nil {
		return err
	}
	all := maps.Clone(b)
	maps.Copy(all, a)
	for _, name := range sortedNames(all) {
		if counts(name) && string(a[name]) != string(b[name]) {
			return &Mismatch{name, string(a[name]), string(b[name])}
		}
	}
	return nil
}
