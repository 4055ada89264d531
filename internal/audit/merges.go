package audit

import (
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// merges are those that entries tell of, some hundred bytes each. While consents are verified nothing changes them, and
// many may read.
type merges struct {
	size, dropped int64           // of the ledger
	told          map[int64]*told // by the sequence of the entry
	into          map[consent.ID][]int64
}

// told is a merge; times are microseconds.
type told struct {
	into, from           consent.ID
	mergedAt, recordedAt int64
	undoneBy             int64 // the entry by which it was undone; 0: it stands
}

func newMerges() *merges { return &merges{told: map[int64]*told{}, into: map[consent.ID][]int64{}} }

// add notes what an entry says, in the order of the ledger; false: it undoes what does not stand.
func (s *merges) add(kind consent.EntryKind, m *consent.SubjectMerge) bool {
	if kind == consent.MergeEntry {
		s.told[m.Entry()] = &told{m.Into, m.From, m.MergedAt.UnixMicro(), m.RecordedAt.UnixMicro(), 0}
		s.into[m.Into] = append(s.into[m.Into], m.Entry())
		return true
	}
	if m.Entry() <= s.dropped {
		return true
	}
	t := s.told[m.Entry()]
	if t == nil || t.undoneBy != 0 || t.into != m.Into || t.from != m.From {
		return false
	}
	t.undoneBy = m.UndoneEntry()
	return true
}

// check holds the merges that a consent rests on against those that stand and led to its subject. unproved tells that
// retention has dropped the entry of one.
func (s *merges) check(c *Consent, faultf func(string, ...any)) (unproved bool) {
	named := map[int64]bool{}
	for i := range c.Merges {
		m := &c.Merges[i]
		entry := m.After + 1
		named[entry] = true
		switch t := s.told[entry]; {
		case entry <= s.dropped:
			unproved = true
		case entry > s.size && !c.Later:
			faultf(": it rests on a merge from behind the checkpoint, and says how it stands")
		case entry > s.size:
		case t == nil || t.into != m.Into || t.from != m.From:
			faultf(": entry %d does not tell that %s was merged into %s", entry, m.From, m.Into)
		case t.mergedAt != m.MergedAt.UnixMicro() || t.recordedAt != m.RecordedAt.UnixMicro():
			faultf(": entry %d tells that %s was merged at %s, and it says %s", entry, m.From,
				time.UnixMicro(t.mergedAt).UTC().Format(time.RFC3339Nano), m.MergedAt.Format(time.RFC3339Nano))
		case t.undoneBy != 0:
			faultf(": entry %d tells that the merge of %s was undone", t.undoneBy, m.From)
		}
	}
	if !c.Later { // else it may have been undone behind the checkpoint
		s.checkWhole(c.Subject, named, faultf)
	}
	return unproved
}

// checkWhole tells of merges that led to a subject and are not among those that are named.
func (s *merges) checkWhole(subject consent.ID, named map[int64]bool, faultf func(string, ...any)) {
	seen := map[consent.ID]bool{subject: true}
	for next := []consent.ID{subject}; len(next) > 0; next = next[1:] {
		for _, entry := range s.into[next[0]] {
			t := s.told[entry]
			if t.undoneBy != 0 {
				continue
			}
			if !named[entry] {
				faultf(": entry %d tells that %s was merged into %s, and it leaves that out", entry, t.from, t.into)
			}
			if !seen[t.from] {
				seen[t.from] = true
				next = append(next, t.from)
			}
		}
	}
}
