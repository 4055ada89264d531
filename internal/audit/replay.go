package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/consentd/consentd/internal/consent"
)

// decision is what of an opened decision is replayed.
type decision struct {
	event consent.Event
	about about
}

// about names a project and a purpose in a few bytes.
type about [24]byte

func nameOf(project, purpose string) about {
	sum := sha256.Sum256([]byte(project + "\x00" + purpose))
	return about(sum[:])
}

// recordSize is the length of a decision in the temporary file.
const recordSize = 88

// decisions are kept in a file by their sequence, so that memory does not grow with the ledger, but for a bit each.
type decisions struct {
	file *os.File
	out  *bufio.Writer
	next int64    // sequence that is written next
	used []uint64 // of those that a consent follows from, a bit each
	all  int64    // how many there are
}

func newDecisions(file *os.File) *decisions {
	return &decisions{file: file, out: bufio.NewWriterSize(file, 1<<18), next: 1}
}

// add adds a decision behind those with lower sequences.
func (d *decisions) add(x *decision) error {
	var none [recordSize]byte
	for ; d.next < x.event.Sequence; d.next++ {
		if _, err := d.out.Write(none[:]); err != nil {
			return err
		}
	}
	e := &x.event
	record := make([]byte, 0, recordSize)
	record = append(record, 1, byte(e.State), byte(e.Weight), 0)
	if e.Grants {
		record[3] = 1
	}
	record = binary.BigEndian.AppendUint32(record, uint32(e.PurposeVersion))
	for _, t := range []time.Time{e.OccurredAt, e.RecordedAt, e.ExpiresAt} {
		micros := int64(math.MinInt64) // for no time; 0 is the beginning of 1970
		if !t.IsZero() {
			micros = t.UnixMicro()
		}
		record = binary.BigEndian.AppendUint64(record, uint64(micros))
	}
	record = append(append(append(record, e.ID[:]...), e.Subject[:]...), x.about[:]...)
	d.next++
	d.all++
	_, err := d.out.Write(record)
	return err
}

// flush ends the adding.
func (d *decisions) flush() error {
	d.used = make([]uint64, d.next/64+1)
	return d.out.Flush()
}

// at gives the decision with a sequence; false: there is none.
func (d *decisions) at(sequence int64) (x decision, ok bool, err error) {
	if sequence < 1 || sequence >= d.next {
		return x, false, nil
	}
	var r [recordSize]byte
	if _, err := d.file.ReadAt(r[:], (sequence-1)*recordSize); err != nil {
		return x, false, err
	}
	e := &x.event
	e.Sequence, e.State, e.Weight, e.Grants = sequence, consent.State(r[1]), consent.Weight(r[2]), r[3] == 1
	e.PurposeVersion = int(binary.BigEndian.Uint32(r[4:]))
	for i, t := range []*time.Time{&e.OccurredAt, &e.RecordedAt, &e.ExpiresAt} {
		if micros := int64(binary.BigEndian.Uint64(r[8+8*i:])); micros != math.MinInt64 {
			*t = time.UnixMicro(micros).UTC()
		}
	}
	copy(e.ID[:], r[32:])
	copy(e.Subject[:], r[48:])
	copy(x.about[:], r[64:])
	return x, r[0] == 1, nil
}

// use notes that a consent follows from a decision; false: another one does already.
func (d *decisions) use(sequence int64) bool {
	word, bit := sequence/64, uint64(1)<<(sequence%64)
	before := d.used[word] & bit
	d.used[word] |= bit
	return before == 0
}

// linesAtOnce is how many consents are read before they are verified by several at once.
const linesAtOnce = 512

// replay holds each consent against the decisions that it follows from, and all decisions against the consents.
func (v *verifier) replay() error {
	file, err := v.open(consentsFile, math.MaxInt64)
	if missing(err) {
		v.faultf("%s: %v", consentsFile, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 1<<18), mostConsent)
	var used int64
	for ended, first := false, int64(1); !ended; {
		var read []*line
		for size := 0; len(read) < linesAtOnce && size < mostConsent && !ended; {
			if ended = !lines.Scan(); !ended {
				read = append(read, &line{number: first + int64(len(read)), text: bytes.Clone(lines.Bytes())})
				size += len(lines.Bytes())
			}
		}
		if err := v.several(len(read), func(i int) error { return read[i].verify(v.decisions, v.merges) }); err != nil {
			return err
		}
		for _, l := range read {
			used += v.takeLine(l)
		}
		first += int64(len(read))
		if v.o.Progress != nil {
			v.o.Progress("consents", first-1)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		v.faultf("%s: a line has more than %d bytes; it and those behind it were not looked at", consentsFile, mostConsent)
	} else if err != nil {
		return err
	}
	if used != v.decisions.all {
		v.faultf("%s: consents follow from %d of %d decisions: one is missing", consentsFile, used, v.decisions.all)
	}
	return nil
}

// takeLine notes which decisions a consent follows from, and gives how many were recorded for its own subject.
func (v *verifier) takeLine(l *line) int64 {
	for _, fault := range l.faults {
		v.o.Fault(fault)
	}
	v.report.Consents++
	switch order := bytes.Compare(l.subject[:], v.subject[:]); {
	case order < 0:
		v.faultf("%s, line %d: its subject stands behind a greater one", consentsFile, l.number)
	case order > 0:
		v.subject, v.purposes = l.subject, map[about]bool{}
	}
	if v.purposes[l.about] {
		v.faultf("%s, line %d: the subject has another consent to that purpose", consentsFile, l.number)
	}
	v.purposes[l.about] = true
	if l.merged {
		v.report.Merged++
	}
	if l.dropped && v.report.Dropped == 0 {
		v.faultf("%s, line %d: it is said that retention dropped decisions, and it dropped none", consentsFile, l.number)
	}
	if l.unstated {
		v.report.Unstated++
	}
	for _, sequence := range l.own {
		if !v.decisions.use(sequence) {
			v.faultf("%s, line %d: another consent follows from entry %d already", consentsFile, l.number, sequence)
		}
	}
	return int64(len(l.own))
}

// line is a line of consents.
type line struct {
	number   int64
	text     []byte
	subject  consent.ID
	about    about
	merged   bool    // it rests on a merge whose entry retention has dropped
	own      []int64 // decisions that were recorded for its own subject
	dropped  bool    // of its decisions retention dropped some
	unstated bool
	faults   []string
}

func (l *line) faultf(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf("%s, line %d", consentsFile, l.number)+fmt.Sprintf(format, args...))
}

// verify holds a consent against its decisions and the merges that entries tell of. Its error is one of reading these.
func (l *line) verify(d *decisions, s *merges) error {
	var c Consent
	if err := json.Unmarshal(l.text, &c, strict); err != nil {
		l.faultf(": %v", err)
		return nil
	}
	l.subject, l.about = c.Subject, nameOf(c.Project.String(), c.Purpose)
	l.merged, l.dropped = s.check(&c, l.faultf), c.Dropped
	who := map[consent.ID]bool{c.Subject: true}
	for _, m := range c.Merges {
		who[m.From] = true
	}
	var events []consent.Event
	for i, sequence := range c.Decisions {
		if i > 0 && sequence <= c.Decisions[i-1] {
			l.faultf(": its decisions are not in order")
			return nil
		}
		x, ok, err := d.at(sequence)
		switch {
		case err != nil:
			return err
		case !ok:
			l.faultf(": entry %d is no decision that was opened", sequence)
			return nil
		case !who[x.event.Subject] || x.about != l.about:
			l.faultf(": entry %d is about another person or purpose", sequence)
			return nil
		}
		if x.event.Subject == c.Subject {
			l.own = append(l.own, sequence)
		}
		events = append(events, x.event)
	}
	if l.unstated = c.Later || c.Dropped; l.unstated {
		if c.Standing != (Standing{}) {
			l.faultf(": it says how it stands, and that this cannot be said")
		}
		return nil
	}
	if err := c.check(events); err != nil {
		l.faultf(", subject %s, purpose %q: %v", c.Subject, c.Purpose, err)
	}
	return nil
}

// check replays the decisions.
func (c *Consent) check(events []consent.Event) error {
	s := &c.Standing
	state, ok := consent.ParseState(s.State)
	if !ok {
		return fmt.Errorf("%q is no state", s.State)
	}
	said := consent.Consent{Subject: c.Subject, Event: s.DecidedBy, PurposeVersion: s.PurposeVersion, State: state,
		Weight: consent.Weight(s.Weight), Grants: s.Grants, Active: s.Active, OccurredAt: s.OccurredAt,
		ExpiresAt: s.ExpiresAt, Since: s.Since}
	merges := make([]consent.SubjectMerge, len(c.Merges))
	for i, m := range c.Merges {
		merges[i] = consent.SubjectMerge{Into: m.Into, From: m.From, Number: m.Number, MergedAt: m.MergedAt,
			RecordedAt: m.RecordedAt, After: m.After}
	}
	return consent.CheckConsent(&said, events, merges)
}
