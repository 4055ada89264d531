package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

// Writer writes a ledger into a folder: entries in order, then consents and texts, then Close. Memory is that of one
// bundle. It is for one goroutine.
type Writer struct {
	dir      string
	tree     ledger.Tree
	leaves   []byte // of the bundle that is not full
	entries  int    // in it
	whole    bool   // it has the leaf of each
	openings bytes.Buffer
	levels   [][]tlog.Hash // of each level of tiles, the hashes of the one that is not full
	consents *bufio.Writer
	file     *os.File
}

// Create makes the folder, which must not be there or be empty.
func Create(dir string) (*Writer, error) {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(found) > 0 {
		return nil, fmt.Errorf("%s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, consentsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{dir: dir, whole: true, file: file, consents: bufio.NewWriterSize(file, 1<<18)}, nil
}

// Size is how many entries were added.
func (w *Writer) Size() int64 { return w.tree.Size }

// Add adds the next entry.
func (w *Writer) Add(e *Entry) error {
	if e.Sequence != w.tree.Size+1 {
		return fmt.Errorf("entry %d comes behind entry %d", e.Sequence, w.tree.Size)
	}
	line := opening{Sequence: e.Sequence, Kind: e.Kind.String(), ID: e.ID, Subject: e.Subject, RecordedAt: e.RecordedAt,
		ErasedBy: e.ErasedBy}
	switch {
	case e.Leaf == nil:
		w.whole = false
		line = opening{Sequence: e.Sequence, Kind: droppedKind, Hash: e.Hash[:]}
	case e.Opening != nil:
		line.Body, line.BodySalt = string(e.Opening.Body), e.Opening.BodySalt[:]
		line.Ident, line.IdentSalt = string(e.Opening.Ident), e.Opening.IdentSalt[:]
	}
	if e.Leaf != nil && !w.whole {
		line.Leaf = e.Leaf.Append(nil)
	}
	if e.Leaf != nil {
		w.leaves = ledger.AppendEntry(w.leaves, *e.Leaf)
	}
	if err := writeLine(&w.openings, line); err != nil {
		return err
	}
	w.tree.Add(nil, e.Hash)
	if w.entries++; w.entries == ledger.TileWidth {
		if err := w.endBundle(); err != nil {
			return err
		}
	}
	return w.push(0, e.Hash)
}

func (w *Writer) endBundle() error {
	tile := bundle(w.tree.Size-1, w.entries)
	err := w.write(openingsPath(tile), w.openings.Bytes())
	if err == nil && w.whole {
		err = w.write(filepath.FromSlash(tile.Path()), w.leaves)
	}
	w.leaves, w.entries, w.whole = w.leaves[:0], 0, true
	w.openings.Reset()
	return err
}

// push adds a hash to a level of tiles, and writes the tile that it fills.
func (w *Writer) push(level int, hash tlog.Hash) error {
	if level == len(w.levels) {
		w.levels = append(w.levels, make([]tlog.Hash, 0, ledger.TileWidth))
	}
	w.levels[level] = append(w.levels[level], hash)
	if len(w.levels[level]) < ledger.TileWidth {
		return nil
	}
	number := (w.tree.Size - 1) >> (8 * (level + 1)) // w.tree has the entry already
	if err := w.writeTile(ledger.Tile{Level: level, Number: number, Width: ledger.TileWidth}); err != nil {
		return err
	}
	full := w.levels[level]
	w.levels[level] = full[:0]
	return w.push(level+1, root(full))
}

// root is the hash over the hashes of a full tile.
func root(hashes []tlog.Hash) tlog.Hash {
	var half [ledger.TileWidth / 2]tlog.Hash
	for n := len(hashes) / 2; n > 0; n /= 2 {
		for i := range n {
			half[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = half[:n]
	}
	return hashes[0]
}

func (w *Writer) writeTile(t ledger.Tile) error {
	content := make([]byte, 0, t.Width*tlog.HashSize)
	for _, hash := range w.levels[t.Level] {
		content = append(content, hash[:]...)
	}
	return w.write(filepath.FromSlash(t.Path()), content)
}

// AddText adds a text that people were shown. One that is there already stays.
func (w *Writer) AddText(text string) error {
	sum := sha256.Sum256([]byte(text))
	path := textPath(hex.EncodeToString(sum[:]))
	if _, err := os.Stat(filepath.Join(w.dir, path)); err == nil {
		return nil
	}
	return w.write(path, []byte(text))
}

// AddConsent adds a consent.
func (w *Writer) AddConsent(c *Consent) error { return writeLine(w.consents, c) }

// Close ends the folder with what the ledger was signed by. The checkpoint must be over the entries that were added.
func (w *Writer) Close(note []byte, said *ledger.Checkpoint, keys []Key) error {
	if w.entries > 0 {
		if err := w.endBundle(); err != nil {
			return err
		}
	}
	for level, hashes := range w.levels {
		if len(hashes) == 0 {
			continue
		}
		number := w.tree.Size >> (8 * (level + 1))
		if err := w.writeTile(ledger.Tile{Level: level, Number: number, Width: len(hashes)}); err != nil {
			return err
		}
	}
	if said.Size != w.tree.Size || said.Root != w.tree.Root() {
		return fmt.Errorf("the entries are not those that the checkpoint was signed over: consentd ledger verify tells more")
	}
	text, err := json.Marshal(keys, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return errors.Join(w.write(checkpointFile, note), w.write(keysFile, append(text, '\n')),
		w.write(readmeFile, []byte(fmt.Sprintf(readme, said.Origin, said.Size))), w.consents.Flush(), w.file.Close())
}

const readme = `A whole ledger of consent decisions: %s, of %d entries.

It holds personal data. Verify it with:

    consentd ledger audit THIS-FOLDER

That needs no network, no database and no key file. Give it the ledger's key by --vkey, as its owner publishes it, and
an earlier checkpoint by --checkpoint, else it proves no more than that the folder agrees with itself.

checkpoint and tile/ are as C2SP's tlog-checkpoint and tlog-tiles have them. Each line of openings/ shows what a leaf
commits to: SHA-256 of a label, the salt and the text. What was recorded about people who were erased since has no
opening: that there was an entry is proved, and what it said is forgotten.
`

// write writes a file of the folder.
func (w *Writer) write(path string, content []byte) error {
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

func writeLine(to interface{ Write([]byte) (int, error) }, line any) error {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = to.Write(append(text, '\n'))
	}
	return err
}
