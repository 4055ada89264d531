package consent

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawID(t *rapid.T, label string) (id ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, label))
	return id
}

func drawMicros(t *rapid.T, label string) time.Time {
	return time.UnixMicro(rapid.Int64Range(-1<<50, 1<<52).Draw(t, label)).UTC()
}

// TestMergeEntries: what an entry of a merge says reads back, its blobs are canonical, and its body names nobody.
func TestMergeEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Actor{Organization: drawID(t, "organization"), Key: drawID(t, "key")}
		m := SubjectMerge{Into: drawID(t, "into"), From: drawID(t, "from"), MergedAt: drawMicros(t, "merged"),
			RecordedAt: drawMicros(t, "recorded"), After: rapid.Int64Range(0, 1<<50).Draw(t, "after"),
			UndoneAt: drawMicros(t, "undone"), UndoneAfter: rapid.Int64Range(0, 1<<50).Draw(t, "undone after")}
		merged, undone := m, m
		merged.UndoneAt, merged.UndoneAfter = time.Time{}, 0
		undone.MergedAt, undone.RecordedAt = time.Time{}, time.Time{}
		for _, c := range []struct {
			entry LedgerEntry
			at    int64
			want  SubjectMerge
		}{{a.MergeEntry(&m), m.Entry(), merged}, {a.UnmergeEntry(&m), m.UndoneEntry(), undone}} {
			e := c.entry
			if e.Organization != a.Organization || e.Subject != m.Into {
				t.Fatalf("it is %s's, committed as %s", e.Organization, e.Subject)
			}
			for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
				if want := canonicalByLibrary(t, blob); string(blob) != want {
					t.Fatalf("it reads\n%s, canonical is\n%s", blob, want)
				}
			}
			for _, id := range []ID{m.Into, m.From, a.Key} {
				if bytes.Contains(e.BodyJSON, []byte(id.String())) {
					t.Fatalf("the body names somebody: %s", e.BodyJSON)
				}
			}
			read, err := ReadMerge(&ExportedEvent{Kind: e.Kind, Sequence: c.at, RecordedAt: m.RecordedAt,
				BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON})
			if err != nil || read != c.want {
				t.Fatalf("%s reads as %+v, want %+v (%v)", e.BodyJSON, read, c.want, err)
			}
			row := ExportedEvent{Kind: e.Kind, Sequence: c.at, BodyJSON: e.BodyJSON, IdentityJSON: e.IdentityJSON}
			for id, want := range map[ID]bool{m.From: true, {7, 7}: m.From == ID{7, 7}} {
				if names, err := MergedAs(&row, map[ID]bool{id: true}); names != want || err != nil {
					t.Fatalf("it names %s: %t, %v", id, names, err)
				}
			}
		}
	})
}

// TestCheckMerged: what is on record otherwise than the entry says is named.
func TestCheckMerged(t *testing.T) {
	m := SubjectMerge{Into: ID{1}, From: ID{2}, MergedAt: noon, RecordedAt: noon, After: 4, UndoneAt: noon,
		UndoneAfter: 9}
	if err := errors.Join(CheckMerged(&m, &m), CheckUnmerged(&m, &m)); err != nil {
		t.Errorf("the same: %v", err)
	}
	for field, change := range map[string]func(*SubjectMerge){
		"into_id":     func(m *SubjectMerge) { m.Into = ID{3} },
		"from_id":     func(m *SubjectMerge) { m.From = ID{3} },
		"merged_at":   func(m *SubjectMerge) { m.MergedAt = noon.Add(time.Microsecond) },
		"recorded_at": func(m *SubjectMerge) { m.RecordedAt = noon.Add(time.Microsecond) },
		"merge":       func(m *SubjectMerge) { m.After++ },
		"undone_at":   func(m *SubjectMerge) { m.UndoneAt = noon.Add(time.Microsecond) },
	} {
		other := m
		change(&other)
		var differs *Mismatch
		check := CheckMerged
		if field == "merge" || field == "undone_at" {
			check = CheckUnmerged
		}
		if err := check(&m, &other); !errors.As(err, &differs) || differs.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// FuzzReadMerge: whatever stands where an entry of a merge is, it is read or refused, and what is read makes an entry
// that reads the same.
func FuzzReadMerge(f *testing.F) {
	m := SubjectMerge{Into: ID{1}, From: ID{2}, MergedAt: noon, UndoneAt: noon, After: 4, UndoneAfter: 9}
	for _, e := range []LedgerEntry{Actor{}.MergeEntry(&m), Actor{}.UnmergeEntry(&m)} {
		f.Add(uint8(e.Kind), e.BodyJSON, e.IdentityJSON)
	}
	f.Add(uint8(MergeEntry), []byte("null"), []byte("null"))
	f.Add(uint8(UnmergeEntry), []byte(`{"entry":"unmerge","merge":-1,"undone_at":"x"}`), []byte(`{"from_id":7}`))
	f.Fuzz(func(t *testing.T, kind uint8, body, ident []byte) {
		e := ExportedEvent{Kind: EntryKind(kind), Sequence: 10, RecordedAt: noon, BodyJSON: body, IdentityJSON: ident}
		read, err := ReadMerge(&e)
		if err != nil || e.Kind != MergeEntry && e.Kind != UnmergeEntry {
			return
		}
		again := Actor{}.MergeEntry(&read)
		if e.Kind == UnmergeEntry {
			again = Actor{}.UnmergeEntry(&read)
		}
		e.BodyJSON, e.IdentityJSON = again.BodyJSON, again.IdentityJSON
		back, err := ReadMerge(&e)
		for _, m := range []*SubjectMerge{&read, &back} { // to the microsecond, in UTC
			m.MergedAt, m.UndoneAt = m.MergedAt.UTC().Truncate(time.Microsecond), m.UndoneAt.UTC().Truncate(time.Microsecond)
		}
		if year := max(read.MergedAt.Year(), read.UndoneAt.Year()); year <= 9999 && (err != nil || back != read) {
			t.Errorf("%s reads as %+v, and that as %+v (%v)", body, read, back, err)
		}
	})
}
