package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

const (
	wave     = 16      // bundles that are read at once
	mostKeys = 1 << 20 // bytes of keys.json
	mostNote = 1 << 16 // bytes of a checkpoint
	mostLine = 1 << 20 // bytes of a line of openings
	mostText = 1 << 20 // bytes of a text
	// mostOpenings and mostConsent are far beyond what entries and a person's decisions take.
	mostOpenings = 16 << 20 // bytes of a file of openings
	mostConsent  = 32 << 20 // bytes of a line of consents
)

// strict takes each member once, in its own letters, and no other.
var strict = json.RejectUnknownMembers(true)

// ErrUnreadable is wrapped by what Verify fails with where the folder is none of a ledger, or cannot be read.
var ErrUnreadable = errors.New("not the folder of a ledger")

// Options are what a folder is verified with.
type Options struct {
	Keys     []string // verifier keys that the reader trusts; empty: those of the folder
	Pinned   []byte   // the note of an earlier checkpoint that the reader has; nil: none
	Progress func(done string, n int64)
	Fault    func(what string) // is told of each; not called by two at once
}

// Report is what was seen.
type Report struct {
	Origin                                      string
	Size                                        int64
	Opened, Erased, Dropped, Consents, Unstated int64
	Merged                                      int64 // consents that rest on merges whose entries retention dropped
	OwnKey                                      bool  // the signature was verified by a key of the folder's own
	Signed                                      bool  // it holds
	Pinned                                      int64 // entries of the checkpoint that was given, and holds; 0: none
	Epochs                                      []Epoch
}

// Epoch is an entry by which a ledger went on though its newest checkpoint was lost.
type Epoch struct {
	Sequence int64
	consent.Epoch
}

// mostEpochs is how many epochs are told of.
const mostEpochs = 100

// Verify holds a folder against its checkpoint: the signature, every tile, every opening, the texts, and that replaying
// the decisions gives the consents. What does not hold goes to Fault; an error that wraps ErrUnreadable says that it is
// none, any other that it could not be read to the end. It changes nothing, and writes a temporary file of 88 bytes an
// entry.
func Verify(ctx context.Context, dir string, o Options) (*Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	defer root.Close()
	v := &verifier{ctx: ctx, o: &o, root: root}
	if err := v.checkpoint(); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "consentd-audit-*")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil { // nobody else is to read it, and it goes with the process
		return nil, err
	}
	v.decisions, v.merges, v.versions = newDecisions(file), newMerges(), map[about]int{}
	for _, step := range []func() error{v.entries, v.goesOn, v.upperTiles, v.replay} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &v.report, nil
}

type verifier struct {
	ctx       context.Context
	o         *Options
	root      *os.Root
	said      *ledger.Checkpoint
	pinned    *ledger.Checkpoint // nil: none was given
	forked    bool               // it was signed over others than the first entries
	own       []string           // keys of the folder
	tree      ledger.Tree
	levels    [][]tlog.Hash // roots of the full tiles of each level, of the tile above that is not full
	texts     map[string]bool
	decisions *decisions
	merges    *merges
	versions  map[about]int // the newest of each purpose that an entry tells of
	last      consent.ID
	subject   consent.ID     // whose consents are looked at
	purposes  map[about]bool // of those
	erased    ledger.ErasedLeaves
	report    Report
}

func (v *verifier) faultf(format string, args ...any) { v.o.Fault(fmt.Sprintf(format, args...)) }

// open opens a file of the folder, which may not be larger than it can be. What is no file is not opened: a pipe would
// wait for somebody to write.
func (v *verifier) open(path string, most int64) (*os.File, error) {
	info, err := v.root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%w: %s is no file, or larger than %d bytes", ledger.ErrMalformed, path, most)
	}
	return v.root.Open(path)
}

// read reads a file of the folder.
func (v *verifier) read(path string, most int64) ([]byte, error) {
	file, err := v.open(path, most)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most+1))
}

// several does n things, as many at once as there are processors.
func (v *verifier) several(n int, do func(i int) error) error {
	group, ctx := errgroup.WithContext(v.ctx)
	each := runtime.GOMAXPROCS(0)
	for first := range each {
		group.Go(func() error {
			for i := first; i < n; i += each {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// checkpoint reads what was signed, and verifies the signature.
func (v *verifier) checkpoint() error {
	signed, err := v.read(checkpointFile, mostNote)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	if v.said, err = ledger.ParseCheckpoint(string(text) + "\n"); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	v.report.Origin, v.report.Size = v.said.Origin, v.said.Size
	keys, err := v.keys()
	if err != nil {
		return err
	}
	var verifiers []note.Verifier
	for _, text := range keys {
		verifier, err := ledger.NewVerifier(text)
		if err != nil {
			return fmt.Errorf("a key of the ledger: %w", err)
		}
		verifiers = append(verifiers, verifier)
	}
	if _, _, err := ledger.Open(signed, v.said.Origin, note.VerifierList(verifiers...)); err != nil {
		v.faultf("checkpoint: %v", err)
	} else {
		v.report.Signed = true
	}
	for line := range bytes.Lines(signed[len(text):]) { // "— name base64"
		signature := bytes.TrimSuffix(line[bytes.LastIndexByte(line, ' ')+1:], []byte{'\n'})
		if err := new(encoded).UnmarshalText(signature); err != nil {
			v.faultf("checkpoint: a signature is not in the form that signers write: %v", err)
		}
	}
	return v.readPinned()
}

// keys gives the keys that the signature is verified by.
func (v *verifier) keys() ([]string, error) {
	text, err := v.read(keysFile, mostKeys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var own []Key
	if err := json.Unmarshal(text, &own, strict); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, keysFile, err)
	}
	for _, k := range own {
		v.own = append(v.own, k.Key)
	}
	if len(v.o.Keys) > 0 {
		return once(v.o.Keys), nil
	}
	v.report.OwnKey = true
	return once(v.own), nil
}

// once leaves out what is there twice: two verifiers of one key would be ambiguous.
func once(keys []string) []string {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// part is a bundle of entries that was read.
type part struct {
	tile     ledger.Tile
	lines    []opening
	told     bool                       // that there are no leaves
	absent   bool                       // nothing of it is there
	erasures map[int64]ledger.ErasedSet // what erasures in it took, by their sequences
	decided  []decision                 // of lines that are decisions
	epochs   []Epoch
	merges   []toldMerge
	made     []madeVersion
	hashes   []tlog.Hash
	texts    []string // that are named
	faults   []string
}

// entries reads all bundles, several at once, and builds the tree over their leaves.
func (v *verifier) entries() error {
	v.texts, v.purposes = map[string]bool{}, map[about]bool{}
	for before := int64(0); before < v.said.Size; {
		var parts []*part
		for ; before < v.said.Size && len(parts) < wave; before += ledger.TileWidth {
			parts = append(parts, &part{tile: bundle(before, int(min(ledger.TileWidth, v.said.Size-before)))})
		}
		if err := v.several(len(parts), func(i int) error { return v.readPart(parts[i]) }); err != nil {
			return err
		}
		for _, p := range parts {
			if p.absent {
				v.faultf("the folder ends behind entry %d, and its checkpoint is over %d", v.tree.Size, v.said.Size)
				return v.decisions.flush()
			}
			if err := v.take(p); err != nil {
				return err
			}
		}
		if v.o.Progress != nil {
			v.o.Progress("entries", v.tree.Size)
		}
	}
	for _, sequence := range v.erased.Left() {
		v.faultf("entry %d: entries are told to be erased by it, and it is not there: their openings are hidden", sequence)
	}
	v.merges.size = v.said.Size
	if root := v.tree.Root(); root != v.said.Root {
		v.faultf("checkpoint: it was signed over other entries: their root is not the one that it names")
	}
	return v.decisions.flush()
}

// readPart reads a bundle, and holds its openings against its leaves.
func (v *verifier) readPart(p *part) error {
	faultf := func(format string, args ...any) { p.faults = append(p.faults, fmt.Sprintf(format, args...)) }
	hashes, err := v.read(filepath.FromSlash(ledger.Tile{Level: 0, Number: p.tile.Number, Width: p.tile.Width}.Path()),
		ledger.TileWidth*tlog.HashSize)
	if err == nil && len(hashes) != p.tile.Width*tlog.HashSize {
		err = fmt.Errorf("%w: it has %d bytes", ledger.ErrMalformed, len(hashes))
	}
	if missing(err) {
		faultf("%s: %v", ledger.Tile{Number: p.tile.Number, Width: p.tile.Width}.Path(), err)
		hashes, err = nil, nil
	}
	if err != nil {
		return err
	}
	leaves, err := v.leaves(p)
	if err != nil {
		return err
	}
	there, err := v.openings(p)
	if p.absent = hashes == nil && leaves == nil && !there; err != nil || p.absent {
		return err
	}
	for i := range p.lines {
		var hash *tlog.Hash
		if hashes != nil {
			hash = (*tlog.Hash)(hashes[i*tlog.HashSize:])
		}
		var leaf *ledger.Leaf
		if leaves != nil {
			leaf = &leaves[i]
		}
		p.check(&p.lines[i], p.tile.Number*ledger.TileWidth+int64(i)+1, leaf, hash, faultf)
	}
	return nil
}

// missing tells of an error that says something of the folder, rather than of the disk.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ledger.ErrMalformed)
}

// leaves reads the leaves of a bundle; nil where they are not there, as where retention dropped entries.
func (v *verifier) leaves(p *part) ([]ledger.Leaf, error) {
	content, err := v.read(filepath.FromSlash(p.tile.Path()), ledger.TileWidth*(2+ledger.LeafSize))
	if err != nil {
		if missing(err) {
			err = nil
		}
		return nil, err
	}
	leaves, err := ledger.ParseEntries(content, p.tile.Width)
	if err != nil {
		p.told = true
		p.faults = append(p.faults, fmt.Sprintf("%s: %v", p.tile.Path(), err))
	}
	return leaves, nil
}

// openings reads the lines of a bundle; false: they are not there. A line that cannot be read is as if it were not.
func (v *verifier) openings(p *part) (there bool, err error) {
	p.lines = make([]opening, p.tile.Width)
	path := openingsPath(p.tile)
	file, err := v.open(path, mostOpenings)
	if missing(err) {
		p.faults = append(p.faults, fmt.Sprintf("%s: %v", path, err))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 4096), mostLine)
	n := 0
	for ; lines.Scan(); n++ {
		if n == len(p.lines) {
			p.faults = append(p.faults, fmt.Sprintf("%s: it has more than %d lines", path, n))
			return true, nil
		}
		if err := json.Unmarshal(lines.Bytes(), &p.lines[n], strict); err != nil {
			p.faults = append(p.faults, fmt.Sprintf("%s, line %d: %v", path, n+1, err))
			p.lines[n] = opening{}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return true, err
	}
	if n < len(p.lines) {
		p.faults = append(p.faults, fmt.Sprintf("%s: it ends after %d of %d lines", path, n, len(p.lines)))
	}
	return true, nil
}

// check holds a line against the leaf and its hash.
func (p *part) check(line *opening, sequence int64, leaf *ledger.Leaf, hash *tlog.Hash,
	faultf func(string, ...any)) {
	if line.Sequence != sequence {
		faultf("entry %d: its line is not there, or in the place of another", sequence)
		*line = opening{}
	}
	if leaf == nil && len(line.Leaf) > 0 {
		if own, err := ledger.ParseLeaf(line.Leaf); err == nil {
			leaf = &own
		}
	}
	switch {
	case leaf != nil:
		p.hashes = append(p.hashes, leaf.Hash())
		if hash != nil && *hash != leaf.Hash() {
			faultf("entry %d: its leaf is not what its hash in the tile says", sequence)
		}
	case hash != nil:
		p.hashes = append(p.hashes, *hash)
	default:
		p.hashes = append(p.hashes, tlog.Hash{})
	}
	switch line.Kind {
	case "", consent.ErasedEntry.String():
		return
	case droppedKind:
		if hash == nil || !bytes.Equal(line.Hash, hash[:]) || leaf != nil {
			faultf("entry %d: it is said that retention dropped it, and its hash is not the one in the tile, or its leaf is "+
				"there", sequence)
		}
		return
	}
	if leaf == nil {
		if !p.told {
			p.told = true
			faultf("%s: is not there", p.tile.Path())
		}
		return
	}
	if len(line.BodySalt) != len(ledger.Salt{}) || len(line.IdentSalt) != len(ledger.Salt{}) {
		faultf("entry %d: its salts are not there", sequence)
		return
	}
	o := ledger.Opening{Body: []byte(line.Body), Ident: []byte(line.Ident), BodySalt: ledger.Salt(line.BodySalt),
		IdentSalt: ledger.Salt(line.IdentSalt)}
	if err := o.Verify(*leaf); err != nil {
		faultf("entry %d: %v", sequence, err)
		line.Kind = "" // nothing is made of it
		return
	}
	if line.RecordedAt.UnixMilli() != leaf.RecordedAt {
		faultf("entry %d, recordedAt: is not what was committed", sequence)
	}
	p.read(line, &o, faultf)
}

// take adds a bundle that was read to the tree, and to what is replayed.
func (v *verifier) take(p *part) error {
	for _, fault := range p.faults {
		v.o.Fault(fault)
	}
	v.report.Epochs = append(v.report.Epochs, p.epochs[:min(len(p.epochs), mostEpochs-len(v.report.Epochs))]...)
	for i, hash := range p.hashes {
		v.tree.Add(nil, hash)
		v.count(&p.lines[i])
		v.takeErased(&p.lines[i], p.erasures)
		if c := v.pinned; c != nil && v.tree.Size == c.Size && v.tree.Root() != c.Root {
			v.forked = true
		}
	}
	if p.tile.Width == ledger.TileWidth {
		v.push(0, root(p.hashes))
	}
	for _, name := range p.texts {
		if err := v.text(name); err != nil {
			return err
		}
	}
	v.takeFacts(p)
	for i := range p.decided {
		if err := v.decisions.add(&p.decided[i]); err != nil {
			return err
		}
	}
	return nil
}

// takeErased holds an entry of which the leaf alone is left against the erasures.
func (v *verifier) takeErased(line *opening, erasures map[int64]ledger.ErasedSet) {
	var err error
	switch said, is := erasures[line.Sequence]; {
	case line.Kind == "" || line.Kind == droppedKind:
		v.erased.Dropped = true
	case line.Kind == consent.ErasedEntry.String():
		err = v.erased.Leaf(line.Sequence, line.ErasedBy)
	case is:
		err = v.erased.Erasure(line.Sequence, said)
	default:
		err = v.erased.Other(line.Sequence)
	}
	if err != nil {
		v.faultf("entry %d: %v", line.Sequence, err)
	}
}

// count counts an entry, and sees that ids follow each other.
func (v *verifier) count(line *opening) {
	switch line.Kind {
	case "":
		return
	case droppedKind:
		if v.report.Dropped++; v.report.Dropped != line.Sequence {
			v.faultf("entry %d: it is said that retention dropped it, and one before it was not", line.Sequence)
		}
		return
	case consent.ErasedEntry.String():
		v.report.Erased++
	default:
		v.report.Opened++
	}
	if bytes.Compare(line.ID[:], v.last[:]) <= 0 {
		v.faultf("entry %d, id: it does not follow from the one before", line.Sequence)
	}
	v.last = line.ID
}
