package sealing

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxFileSize allows for thousands of keys, and keeps a path that was mistaken out of memory.
const maxFileSize = 1 << 20

// ErrOpenToOthers says that others than its owner may read or write the key file.
var ErrOpenToOthers = errors.New("others than its owner may read or write it: run chmod 600 on it")

// File is what a key file held when it was read. It does not follow the file: whoever meets an [UnknownKEKError] reads
// the file again. Safe at once, but for Wipe.
type File struct {
	redacted
	ring   string
	keks   []kek // at least one, newest last
	sign   SigningKey
	signed time.Time
}

// KEK says of a key-encryption key what is no secret.
type KEK struct {
	ID      KEKID
	Created time.Time
}

// SigningKey is the Ed25519 key (RFC 8032) that signs checkpoints. Safe at once.
type SigningKey struct {
	redacted
	seed Key
}

// Public gives the key that verifies. Nil where the SigningKey is none.
func (k SigningKey) Public() ed25519.PublicKey {
	private := k.Private()
	if private == nil {
		return nil
	}
	return private.Public().(ed25519.PublicKey)
}

// Private gives the key that signs: plain bytes, which show wherever they are printed. Nil where the SigningKey is
// none.
func (k SigningKey) Private() ed25519.PrivateKey {
	if !k.seed.usable() {
		return nil
	}
	return ed25519.NewKeyFromSeed(k.seed.at.bytes[:])
}

// Fingerprint names the key file for as long as it lives: the name that was drawn when it was made, 32 hex digits. It
// stays over RotateAfter and Retire, since the file then still reads what was wrapped before, and it is no secret. A
// database that keeps it tells a wrong file; whether the file holds every key that is needed, KEKs tells.
func (f *File) Fingerprint() string { return f.ring }

// KEKs lists the key-encryption keys as they stand in the file, the newest last.
func (f *File) KEKs() []KEK {
	list := make([]KEK, len(f.keks))
	for i, k := range f.keks {
		list[i] = KEK{k.id, k.created}
	}
	return list
}

// Newest gives the key-encryption key that Wrap uses.
func (f *File) Newest() KEK {
	k := f.keks[len(f.keks)-1]
	return KEK{k.id, k.created}
}

// SigningKey gives the key that signs checkpoints, and when it was made.
func (f *File) SigningKey() (key SigningKey, created time.Time) { return f.sign, f.signed }

// Wipe overwrites the keys, best effort, those of the file's rings too. It may not run at once with a use of them.
func (f *File) Wipe() {
	f.sign.seed.Wipe()
	for _, k := range f.keks {
		k.key.Wipe()
	}
}

// Load reads a key file. The path may be a symbolic link, as secrets are mounted. Errors: fs.ErrNotExist where there is
// none, ErrOpenToOthers, and what is wrong in which line; none shows a key. Safe at once with changes of the file, for
// which it waits.
func Load(path string) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		// Where folders cannot be locked, nobody changes files in them, and there is nothing to wait for.
		if unlock, err := lockFolder(filepath.Dir(target), syscall.LOCK_SH); err == nil {
			defer unlock()
		}
		// A process that put this file in place may have died before that was on the disk. What is wrapped with its
		// keys must not be there first.
		_ = syncFolder(filepath.Dir(target))
	}
	f, text, err := load(path)
	clear(text)
	return f, err
}

// load gives the file's text too, which the caller clears. The folder is locked.
func load(path string) (*File, []byte, error) {
	text, err := read(path)
	if err != nil {
		return nil, nil, fmt.Errorf("key file %s: %w", path, err)
	}
	f, err := parse(text)
	if err != nil {
		clear(text)
		return nil, nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return f, text, nil
}

func read(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, withoutPath(err)
	} else if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, errors.New("is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, withoutPath(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, ErrOpenToOthers
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("is larger than %d bytes: this is no key file", maxFileSize)
	}
	text := make([]byte, info.Size(), info.Size()+lineRoom)
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, withoutPath(err)
	}
	return text, nil
}

// Create reads the key file, or makes one where there is none: with a key-encryption key and a signing key drawn from
// random, made at now, mode 0600. Of many who create one at once, one makes it and all get that one; made says who did.
// It is on the disk, whole, before anybody sees it. The folder must be there. Whoever has a database already must hold
// its fingerprint against that of the file: a key file that was lost is made anew here. Errors as of Load.
func Create(path string, random io.Reader, now time.Time) (f *File, made bool, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		f, err := Load(path) // which also tells of a link that leads nowhere
		return f, false, err
	}
	text, err := newText(random, now)
	defer clear(text)
	if err != nil {
		return nil, false, fmt.Errorf("make key file %s: %w", path, err)
	}
	if made, err = create(path, text); err != nil {
		return nil, false, fmt.Errorf("make key file %s: %w", path, err)
	}
	f, err = Load(path)
	return f, made, err
}

func create(path string, text []byte) (made bool, err error) {
	unlock, err := lockFolder(filepath.Dir(path), syscall.LOCK_EX)
	if err != nil {
		return false, err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return false, nil // another one was first
	}
	if err := stage(path, text, nil); err != nil {
		return false, err
	}
	return publish(path)
}

// ErrRotated says that a key-encryption key was added that whoever rotates has not seen.
var ErrRotated = errors.New("another key was added meanwhile")

// RotateAfter adds a key-encryption key, drawn from random and made at now, behind the one that whoever rotates has
// seen as the newest, and gives the file as it is then. It is on the disk before anybody sees it; mode, owner, comments
// and all other lines stay. Whoever holds a Ring from before goes on to wrap with the key that was newest then, and
// must read the file again to unwrap what others wrap with the new one. Of many who add one at once, one does, and the
// others get ErrRotated; at once with other changes, none is lost. After another error the file is as it was or as it
// should be.
func RotateAfter(path string, newest KEKID, random io.Reader, now time.Time) (*File, error) {
	return change(path, func(f *File, text []byte) ([]byte, error) {
		if f.Newest().ID != newest {
			return nil, ErrRotated
		}
		return appendKEK(text, f.keks, random, now)
	}, false)
}

// Retire drops key-encryption keys, and gives the file as it is then. What is still wrapped with one is lost: the
// caller has seen that nothing is, and that no server runs with a Ring from before the last RotateAfter. The newest
// cannot go. Errors: UnknownKEKError where the file has not one of the ids; then none is dropped.
//
// The bytes of the old file are overwritten before they are freed. That does not reach copies: on file systems that
// write elsewhere (btrfs, ZFS, most overlays), in snapshots and backups, in journals, and in the spare cells of flash.
// Nor does it where the file has another name by a hard link, which is somebody's copy.
func Retire(path string, ids ...KEKID) (*File, error) {
	return change(path, func(f *File, text []byte) ([]byte, error) {
		dropped := map[int]bool{}
		for _, id := range ids {
			k := findKEK(f.keks, id)
			if k == nil {
				return nil, &UnknownKEKError{ID: id}
			}
			if k.line == f.keks[len(f.keks)-1].line {
				return nil, fmt.Errorf("the key %s is the newest: rotate first, and rewrap what it wraps", id)
			}
			dropped[k.line] = true
		}
		return withoutLines(text, dropped), nil
	}, true)
}

// change puts another text in the place of a key file. With shredding, the old one is overwritten.
func change(path string, edit func(*File, []byte) ([]byte, error), shredding bool) (*File, error) {
	target, err := filepath.EvalSymlinks(path) // a link stays one
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, withoutPath(err))
	}
	unlock, err := lockFolder(filepath.Dir(target), syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("change key file %s: %w", path, err)
	}
	defer unlock()
	f, text, err := load(target)
	if err != nil {
		return nil, err
	}
	defer f.Wipe()
	defer clear(text)
	edited, err := edit(f, text)
	defer clear(edited)
	if err == nil {
		err = replace(target, edited, shredding)
	}
	if err != nil {
		return nil, fmt.Errorf("change key file %s: %w", path, err)
	}
	return parse(edited)
}
