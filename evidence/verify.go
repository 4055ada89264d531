package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/ledger"
)

// Options are what whoever verifies knows from elsewhere.
type Options struct {
	// Keys are public keys of the ledger and of witnesses (C2SP signed-note, "vkey"). Where none is the ledger's, the
	// bundle's own keys are taken, and the report says so. A witness whose key is here must have cosigned.
	Keys []string
	// Checkpoint is a signed note of the same ledger from another time; the ledger must only have grown since.
	Checkpoint []byte
}

// OptionError is about an option that is not in its form: the one of that name. It wraps ledger.ErrMalformed.
type OptionError struct {
	Option string // Keys or Checkpoint
	Err    error
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// Check is one thing that was looked at.
type Check struct {
	OK   bool
	Says string // a sentence: what holds, or what does not
	// Where it does not hold: the file, the decision by its number from 1 (0: none), and the field; any may be empty.
	File     string
	Decision int
	Field    string
	// Missing tells that nothing was found to be wrong: what was asked for is not in the bundle.
	Missing bool
}

// Report is what Verify found.
type Report struct {
	Checks []Check  // one for each kind that holds, one for each place that does not
	Notes  []string // what to know whatever holds
}

// Holds tells whether all checks do.
func (r *Report) Holds() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// OnlyMissing tells whether what does not hold is nothing but proofs that were asked for and are not in the bundle.
func (r *Report) OnlyMissing() bool {
	wrong := func(c Check) bool { return !c.OK && !c.Missing }
	return !r.Holds() && len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, wrong)
}

// Verify verifies a bundle of that size in bytes, by nothing but what it is given: signatures and cosignatures; that
// every decision is in the ledger, is what was committed, has the time of its leaf and is of whom its ident names; the
// texts; the merges and the versions of purposes, as far as their entries are there; that the ledger goes on from the
// checkpoint of the options; and that the page, the receipt and the README are those that the data make. An error wraps
// ErrUnreadable where it is no bundle, or is an *OptionError where an option is not in its form. It takes memory for
// several times what the bundle unpacks to, which is 256 MiB at most. Safe for use by many at once.
func Verify(r io.ReaderAt, size int64, o Options) (*Report, error) {
	given, err := readKeys(o.Keys)
	if err != nil {
		return nil, &OptionError{"Keys", err}
	}
	files, err := unzip(r, size)
	if err != nil {
		return nil, err
	}
	return verifyFiles(files, given, o.Checkpoint)
}

func verifyFiles(files map[string][]byte, given []note.Verifier, pinned []byte) (*Report, error) {
	b, err := parse(files)
	if err != nil {
		return nil, err
	}
	v := &verification{bundle: b, files: files, given: given, report: &Report{}}
	if v.own, err = readKeys(keysOf(b)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, KeysFile, err)
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	v.epochs()
	if err := v.pin(pinned); err != nil {
		return nil, err
	}
	v.readDecisions()
	v.proofs()
	v.openings()
	v.order()
	v.whose()
	v.merges()
	v.texts()
	v.versions()
	v.said()
	v.rendered()
	v.unproved()
	return v.report, nil
}

// verification is a bundle while it is verified.
type verification struct {
	bundle     *Bundle
	files      map[string][]byte
	given, own []note.Verifier
	checkpoint *ledger.Checkpoint // nil: it was not what a key signed
	lost       []lost             // that epochs name
	facts      []facts
	report     *Report
}

func readKeys(texts []string) ([]note.Verifier, error) {
	var out []note.Verifier
	known := map[string]bool{}
	for _, text := range texts {
		if known[text] {
			continue
		}
		known[text] = true
		verifier, err := ledger.NewVerifier(text)
		if err != nil {
			return nil, err
		}
		out = append(out, verifier)
	}
	return out, nil
}

func keysOf(b *Bundle) (texts []string) {
	for _, k := range b.Keys {
		texts = append(texts, k.Key)
	}
	return texts
}

func (v *verification) holds(format string, args ...any) {
	v.report.Checks = append(v.report.Checks, Check{OK: true, Says: fmt.Sprintf(format, args...)})
}

func (v *verification) fails(file string, decision int, field, format string, args ...any) {
	v.report.Checks = append(v.report.Checks, Check{Says: fmt.Sprintf(format, args...), File: file, Decision: decision,
		Field: field})
}

func (v *verification) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

// kind tells what holds, unless something failed since a number of checks.
func (v *verification) kind(before int, format string, args ...any) {
	if len(v.report.Checks) == before {
		v.holds(format, args...)
	}
}

// readDecisions reads what the decisions say.
func (v *verification) readDecisions() {
	v.facts = make([]facts, len(v.bundle.Decisions))
	for i := range v.bundle.Decisions {
		f, field, err := factsOf(&v.bundle.Decisions[i])
		if v.facts[i] = f; err != nil {
			v.fails(DataFile, i+1, field, "What decision %d says cannot be read: %v.", i+1, err)
		}
	}
}

// proofs verifies that each decision is in the ledger.
func (v *verification) proofs() {
	before := len(v.report.Checks)
	if v.checkpoint == nil {
		v.fails(DataFile, 0, "checkpoint", "Without a checkpoint that was signed, no decision is shown to be in the ledger.")
		return
	}
	for i := range v.bundle.Decisions {
		d := &v.bundle.Decisions[i]
		leaf, err := ledger.ParseLeaf(d.Leaf)
		if err != nil {
			v.fails(DataFile, i+1, "leaf", "Decision %d has no leaf that can be read: %v.", i+1, err)
			continue
		}
		if err := ledger.VerifyInclusion(v.checkpoint, d.Index, leaf, d.Hashes); err != nil {
			v.fails(DataFile, i+1, "hashes", "Decision %d is not shown to be in the ledger that was signed: %v.", i+1, err)
		}
		if d.Sequence != d.Index+1 {
			v.fails(DataFile, i+1, "sequence", "Decision %d says that it is entry %d, and its leaf is that of entry %d.", i+1,
				d.Sequence, d.Index+1)
		}
	}
	v.kind(before, "All %d decisions are in the ledger that was signed.", len(v.bundle.Decisions))
}

// openings verifies that what the decisions say, and when, is what their leaves commit to.
func (v *verification) openings() {
	before := len(v.report.Checks)
	for i := range v.bundle.Decisions {
		d := &v.bundle.Decisions[i]
		leaf, err := ledger.ParseLeaf(d.Leaf)
		if err != nil {
			continue // said already
		}
		if len(d.BodySalt) != len(ledger.Salt{}) || len(d.IdentSalt) != len(ledger.Salt{}) {
			v.fails(DataFile, i+1, "bodySalt, identSalt", "The salts of decision %d do not have 32 bytes.", i+1)
			continue
		}
		bodySalt, identSalt := ledger.Salt(d.BodySalt), ledger.Salt(d.IdentSalt)
		if ledger.CommitBody(bodySalt, []byte(d.Body)) != leaf.Body {
			v.fails(DataFile, i+1, "body", "What decision %d says (or its salt) is not what was recorded then.", i+1)
		}
		if ledger.CommitIdent(identSalt, []byte(d.Ident)) != leaf.Ident {
			v.fails(DataFile, i+1, "ident", "Who took decision %d, and from where (or its salt), is not what was recorded then.",
				i+1)
		}
		if at := RecordedAt(leaf); at != d.RecordedAt {
			v.fails(DataFile, i+1, "recordedAt", "Decision %d was recorded at %s, and the bundle says %.40q.", i+1, at,
				d.RecordedAt)
		}
	}
	v.kind(before, "What each decision says, who took it and when it was recorded are as they were recorded then.")
}

// RecordedAt gives the time of a leaf as a Decision has it.
func RecordedAt(l ledger.Leaf) string {
	return time.UnixMilli(l.RecordedAt).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// order verifies that each entry is there once, in order, and is one that was asked for.
func (v *verification) order() {
	before := len(v.report.Checks)
	person := map[string]bool{v.bundle.Person.ID: true}
	for _, id := range v.bundle.Person.Merged {
		person[id] = true
	}
	for i := range v.bundle.Decisions {
		d := &v.bundle.Decisions[i]
		if i > 0 && d.Index <= v.bundle.Decisions[i-1].Index {
			v.fails(DataFile, i+1, "index", "Decision %d is there twice, or not in the order of the ledger.", i+1)
		}
		if v.bundle.Purpose != "" && v.facts[i].Purpose != v.bundle.Purpose {
			v.fails(DataFile, i+1, "body", "Decision %d is on another purpose than the bundle says.", i+1)
		}
		if !person[d.Subject] {
			v.fails(DataFile, i+1, "subject", "Decision %d was recorded for somebody whom the bundle does not name.", i+1)
		}
	}
	v.kind(before, "The decisions are in the order of the ledger, each once.")
}

// texts verifies that what was shown is there, unchanged, and nothing else.
func (v *verification) texts() {
	before := len(v.report.Checks)
	used := map[string]bool{}
	need := func(hash, file string, decision int, field string) {
		used[hash] = true
		if _, there := v.bundle.Texts[hash]; !there {
			v.fails(file, decision, field, "%s%s%s is missing.", textFolder, hash, textSuffix)
		}
	}
	for i := range v.facts {
		if v.facts[i].Text != "" {
			need(v.facts[i].Text, DataFile, i+1, "body")
		}
	}
	for i := range v.bundle.Versions {
		version := &v.bundle.Versions[i]
		for _, of := range []named{{"legalText", version.LegalText}, {"translations", version.Translations}} {
			if hash, ok := hashOf(of.Value); ok {
				need(hash, PurposesFile, 0, of.Name)
			} else if of.Value != "" {
				v.fails(PurposesFile, 0, of.Name, "Version %d of a purpose has a text by a name that is no hash.", version.Version)
			}
		}
	}
	for _, hash := range slices.Sorted(maps.Keys(v.bundle.Texts)) {
		sum := sha256.Sum256([]byte(v.bundle.Texts[hash]))
		switch name := textFolder + hash + textSuffix; {
		case hex.EncodeToString(sum[:]) != hash:
			v.fails(name, 0, "", "%s was changed: its SHA-256 is not its name.", name)
		case !used[hash]:
			v.fails(name, 0, "", "%s is the text of no decision and no purpose.", name)
		}
	}
	v.kind(before, "All %d texts are as they were: each has the hash that was recorded.", len(v.bundle.Texts))
}

// versions verifies that purposes.json has the versions that decisions name, each once and in order, and no others.
func (v *verification) versions() {
	before := len(v.report.Checks)
	there := v.bundle.versions()
	used := map[versionKey]bool{}
	for i := range v.facts {
		key := v.facts[i].versionKey()
		used[key] = true
		if key.version != 0 && there[key] == nil {
			v.fails(PurposesFile, i+1, "version", "The version of the purpose that decision %d names is missing.", i+1)
		}
	}
	for i := range v.bundle.Versions {
		if !used[v.bundle.Versions[i].key()] {
			v.fails(PurposesFile, 0, "version", "Version %d of the purpose %.80q is named by no decision.",
				v.bundle.Versions[i].Version, v.bundle.Versions[i].Purpose)
		}
	}
	if len(there) != len(v.bundle.Versions) {
		v.fails(PurposesFile, 0, "version", "A version of a purpose is there twice.")
	}
	v.kind(before, "All %d versions of purposes that the decisions name are here.", len(v.bundle.Versions))
}

// rendered verifies that what people read is what the data say. What the data make is compared while it is made: it is
// not kept, and of what would be larger than a bundle may have it no more is made.
func (v *verification) rendered() {
	p := pageOf(v.bundle, v.facts)
	p.sums = sumsOf(v.files)
	for _, other := range p.others() {
		to := &compared{with: v.files[other.name]}
		switch err := p.make(other, to); {
		case errors.Is(err, ErrTooLarge):
			v.fails(other.name, 0, "", "%s is not the one that the data make: that would be larger than a bundle may have it.",
				other.name)
		case err != nil || to.differs || len(to.with) > 0:
			v.fails(other.name, 0, "", "%s is not the one that the data make: it, or the data, was changed.", other.name)
		default:
			v.holds("%s says the same as the data.", other.name)
		}
	}
}

// compared takes what must be the same as something.
type compared struct {
	with    []byte // what is still to come
	differs bool
}

func (c *compared) Write(part []byte) (int, error) {
	rest, same := bytes.CutPrefix(c.with, part)
	c.differs, c.with = c.differs || !same, rest
	return len(part), nil
}
