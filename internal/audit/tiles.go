package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

// knownTexts is how many texts are remembered that were seen to be right; then it begins anew.
const knownTexts = 50_000

// text holds a text against its name.
func (v *verifier) text(name string) error {
	if v.texts[name] {
		return nil
	}
	if len(v.texts) >= knownTexts {
		clear(v.texts)
	}
	v.texts[name] = true
	hash, known := strings.CutPrefix(name, "sha256:")
	if want, err := hex.DecodeString(hash); !known || err != nil || len(want) != sha256.Size {
		v.faultf("a body names a text by %q, which is no name of a text", name)
		return nil
	}
	content, err := v.read(textPath(hash), mostText)
	if missing(err) {
		v.faultf("%s: %v", textPath(hash), err)
		return nil
	}
	if sum := sha256.Sum256(content); err == nil && hex.EncodeToString(sum[:]) != hash {
		v.faultf("%s: it is not the text with that hash", textPath(hash))
	}
	return err
}

// push adds the root of a full tile to the level above. The tiles there are verified when they are full.
func (v *verifier) push(level int, hash tlog.Hash) {
	if level == len(v.levels) {
		v.levels = append(v.levels, nil)
	}
	v.levels[level] = append(v.levels[level], hash)
	if len(v.levels[level]) < ledger.TileWidth {
		return
	}
	number := v.tree.Size>>(8*(level+2)) - 1
	v.tile(ledger.Tile{Level: level + 1, Number: number, Width: ledger.TileWidth}, v.levels[level])
	full := v.levels[level]
	v.levels[level] = nil
	v.push(level+1, root(full))
}

// upperTiles verifies the tiles above the leaves that are not full.
func (v *verifier) upperTiles() error {
	for level, hashes := range v.levels {
		if len(hashes) > 0 {
			number := v.tree.Size >> (8 * (level + 2))
			v.tile(ledger.Tile{Level: level + 1, Number: number, Width: len(hashes)}, hashes)
		}
	}
	return nil
}

func (v *verifier) tile(t ledger.Tile, hashes []tlog.Hash) {
	content, err := v.read(filepath.FromSlash(t.Path()), ledger.TileWidth*tlog.HashSize)
	if err != nil {
		v.faultf("%s: %v", t.Path(), err)
		return
	}
	var want bytes.Buffer
	for _, hash := range hashes {
		want.Write(hash[:])
	}
	if !bytes.Equal(content, want.Bytes()) {
		v.faultf("%s: it does not follow from the tiles below", t.Path())
	}
}
