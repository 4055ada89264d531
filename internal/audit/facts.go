package audit

import (
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// toldMerge is what an entry says of a merge.
type toldMerge struct {
	kind     consent.EntryKind
	sequence int64
	consent.SubjectMerge
}

// madeVersion is a version of a purpose that an entry tells of.
type madeVersion struct {
	about   about
	version int
}

// read reads what an entry says that is what was committed.
func (p *part) read(line *opening, o *ledger.Opening, faultf func(string, ...any)) {
	if line.Kind != consent.DecisionEntry.String() && consent.KindOf(o.Body) != line.Kind {
		faultf("entry %d, kind: its body says another", line.Sequence)
		return
	}
	switch line.Kind {
	case consent.DecisionEntry.String():
		p.decide(line, faultf)
	case consent.ErasureEntry.String():
		took, err := consent.ReadErasure(o.Body)
		if err != nil {
			faultf("entry %d, body: %v", line.Sequence, err)
		}
		if p.erasures == nil {
			p.erasures = map[int64]ledger.ErasedSet{}
		}
		p.erasures[line.Sequence] = took
	case consent.EpochEntry.String():
		epoch, err := consent.ReadEpoch(o.Body)
		if err != nil {
			faultf("entry %d, body: %v", line.Sequence, err)
			return
		}
		p.epochs = append(p.epochs, Epoch{line.Sequence, epoch})
	case consent.PurposeEntry.String():
		name, err := consent.ReadPurpose(o.Body)
		if err != nil {
			faultf("entry %d, body: %v", line.Sequence, err)
			return
		}
		p.made = append(p.made, madeVersion{nameOf(name.Project, name.Purpose), name.Version})
	case consent.KeyEntry.String(), consent.KeyRevocationEntry.String():
		if _, err := consent.ReadKey(o.Body); err != nil {
			faultf("entry %d, body: %v", line.Sequence, err)
		}
	case consent.ImportEntry.String():
		if _, err := consent.ReadImport(o.Body); err != nil {
			faultf("entry %d, body: %v", line.Sequence, err)
		}
	case consent.MergeEntry.String():
		p.merge(consent.MergeEntry, line, faultf)
	case consent.UnmergeEntry.String():
		p.merge(consent.UnmergeEntry, line, faultf)
	}
}

// decide reads a decision.
func (p *part) decide(line *opening, faultf func(string, ...any)) {
	e := consent.ExportedEvent{BodyJSON: []byte(line.Body)}
	if name := e.TextName(); name != nil {
		p.texts = append(p.texts, string(name))
	}
	event, project, purpose, err := consent.ReadDecision([]byte(line.Body))
	if err != nil {
		faultf("entry %d, body: %v", line.Sequence, err)
		return
	}
	event.ID, event.Subject, event.Sequence, event.RecordedAt = line.ID, line.Subject, line.Sequence, line.RecordedAt
	p.decided = append(p.decided, decision{event: event, about: nameOf(project, purpose)})
}

// merge reads what an entry says of a merge.
func (p *part) merge(kind consent.EntryKind, line *opening, faultf func(string, ...any)) {
	m, err := consent.ReadMerge(&consent.ExportedEvent{Kind: kind, Sequence: line.Sequence, RecordedAt: line.RecordedAt,
		BodyJSON: []byte(line.Body), IdentityJSON: []byte(line.Ident)})
	switch {
	case err != nil:
		faultf("entry %d, %v", line.Sequence, err)
	case m.Into != line.Subject:
		faultf("entry %d, subject: it is not the one into whom somebody was merged", line.Sequence)
	default:
		p.merges = append(p.merges, toldMerge{kind, line.Sequence, m})
	}
}

// takeFacts notes merges and purposes that a bundle tells of. The entry of a purpose comes before the decisions on it.
func (v *verifier) takeFacts(p *part) {
	v.merges.dropped = v.report.Dropped
	for i := range p.merges {
		if m := &p.merges[i]; !v.merges.add(m.kind, &m.SubjectMerge) {
			v.faultf("entry %d: it undoes a merge of which no entry before it tells", m.sequence)
		}
	}
	for _, made := range p.made {
		v.versions[made.about] = max(v.versions[made.about], made.version)
	}
	for i := range p.decided {
		d := &p.decided[i]
		if d.event.PurposeVersion > v.versions[d.about] && v.report.Dropped == 0 {
			v.faultf("entry %d: it is on version %d of a purpose, of which no entry before it tells", d.event.Sequence,
				d.event.PurposeVersion)
		}
	}
}
