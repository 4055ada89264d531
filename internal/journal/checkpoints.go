package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/consentd/consentd/internal/consent"
)

// Checkpoints is the file of the newest checkpoint that was signed of each ledger, so that a store that is put back
// from a backup gets no second history signed. It is for use at once by many goroutines, and by many processes of one
// machine.
//
// Each ledger has two lines of the same length, written in turns, so that one of them is always whole: the
// organization, a number that grows with each checkpoint, how many entries it has, its root (hex), and a CRC-32 of all
// that.
type Checkpoints struct {
	path string

	mu      sync.Mutex
	file    *os.File
	seen    fs.FileInfo
	at      map[consent.ID]int64 // where the lines of each ledger are
	scanned int64                // up to where the file was looked through
}

const (
	uuidLength   = 36
	digits       = 20
	rootLength   = 64
	crcLength    = 8
	signedLine   = uuidLength + 1 + digits + 1 + digits + 1 + rootLength + 1 + crcLength + 1
	signedPair   = 2 * signedLine
	scannedAtOne = 1000 * signedPair
)

// OpenCheckpoints opens the file, or makes an empty one, mode 0600. The folder must be there. Errors: those of the file
// system, and that the file is another one.
func OpenCheckpoints(path string) (*Checkpoints, error) {
	file, info, err := openOrMake(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, wrongCheckpoints(path, err)
	}
	c := &Checkpoints{path: path, file: file, seen: info, at: map[consent.ID]int64{}}
	if err := c.locked(syscall.LOCK_SH, c.scan); err != nil {
		_ = file.Close()
		return nil, wrongCheckpoints(path, err)
	}
	if len(c.at) == 0 && c.scanned > signedPair { // one may be the first that was ever put, and never was whole
		_ = file.Close()
		return nil, wrongCheckpoints(path, errors.New("it holds no checkpoints: mend it, or put back a copy"))
	}
	return c, nil
}

// Path is where the file is.
func (c *Checkpoints) Path() string { return c.path }

// Close closes the file; nothing may be called after it.
func (c *Checkpoints) Close() error { return c.file.Close() }

// Newest gives the newest checkpoint of an organization's ledger that was put; of size 0: none was.
func (c *Checkpoints) Newest(organization consent.ID) (root consent.LedgerRoot, err error) {
	err = c.locked(syscall.LOCK_SH, func() error {
		newest, _, _, err := c.pair(organization)
		root = newest.LedgerRoot
		return err
	})
	if err != nil {
		return root, wrongCheckpoints(c.path, err)
	}
	return root, nil
}

// All gives the newest checkpoint of every ledger.
func (c *Checkpoints) All() (all map[consent.ID]consent.LedgerRoot, err error) {
	all = map[consent.ID]consent.LedgerRoot{}
	err = c.locked(syscall.LOCK_SH, func() error {
		if err := c.scan(); err != nil {
			return err
		}
		for organization := range c.at {
			newest, _, _, err := c.pair(organization)
			if err != nil {
				return err
			}
			all[organization] = newest.LedgerRoot
		}
		return nil
	})
	if err != nil {
		return nil, wrongCheckpoints(c.path, err)
	}
	return all, nil
}

// Put keeps a checkpoint of a ledger in place of newest, and returns true when that is on the disk; false where newest
// is not the newest one, since another server has put one. Errors: those of the file system, also where the file was
// moved or removed since it was opened.
func (c *Checkpoints) Put(organization consent.ID, newest, next consent.LedgerRoot) (put bool, err error) {
	err = c.locked(syscall.LOCK_EX, func() error {
		if now, err := os.Stat(c.path); err != nil || !os.SameFile(now, c.seen) {
			return errMoved
		}
		is, place, older, err := c.pair(organization)
		if err != nil || is.LedgerRoot != newest {
			return err
		}
		line := signedForm(organization, signed{next, is.number + 1})
		fresh := is.number == 0
		if fresh { // behind all others; what a process that died left there is written over
			place, older = c.scanned, 0
			line = append(append(line, bytes.Repeat([]byte{' '}, signedLine-1)...), '\n')
		}
		if _, err := c.file.WriteAt(line, place+older); err != nil {
			return err
		}
		if err := c.file.Sync(); err != nil {
			return err
		}
		if fresh {
			c.at[organization], c.scanned = place, place+signedPair
		}
		put = true
		return nil
	})
	if err != nil {
		return false, wrongCheckpoints(c.path, err)
	}
	return put, nil
}

// signed is a line.
type signed struct {
	consent.LedgerRoot
	number int64 // 0: none
}

// pair reads the lines of a ledger, and gives the newer one, where the lines are, and how far behind that the older one
// is. The file is locked.
func (c *Checkpoints) pair(organization consent.ID) (newest signed, place, older int64, err error) {
	place, known := c.at[organization]
	if !known {
		if err := c.scan(); err != nil { // another process may have put it
			return newest, 0, 0, err
		}
		if place, known = c.at[organization]; !known {
			return newest, 0, 0, nil
		}
	}
	lines := make([]byte, signedPair)
	if _, err := c.file.ReadAt(lines, place); err != nil {
		return newest, 0, 0, err
	}
	for i := range int64(2) {
		id, s, ok := parseSigned(lines[i*signedLine : (i+1)*signedLine])
		if ok && id == organization && s.number > newest.number {
			newest, older = s, signedLine-i*signedLine
		}
	}
	if newest.number == 0 {
		return newest, 0, 0, fmt.Errorf("what it held of the ledger of organization %s is damaged: put back a copy",
			organization)
	}
	return newest, place, older, nil
}

// scan looks for ledgers behind those that are known. The file is locked.
func (c *Checkpoints) scan() error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	for c.scanned+signedPair <= info.Size() {
		lines := make([]byte, min(scannedAtOne, (info.Size()-c.scanned)/signedPair*signedPair))
		if _, err := c.file.ReadAt(lines, c.scanned); err != nil {
			return err
		}
		for i := 0; i < len(lines); i += signedLine {
			if organization, _, ok := parseSigned(lines[i : i+signedLine]); ok {
				c.at[organization] = c.scanned + int64(i/signedPair*signedPair)
			}
		}
		c.scanned += int64(len(lines))
	}
	return nil
}

// locked does something while the file is locked.
func (c *Checkpoints) locked(how int, do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := lock(c.file, how); err != nil {
		return err
	}
	defer unlock(c.file)
	return do()
}

// signedForm is a line.
func signedForm(organization consent.ID, s signed) []byte {
	line := fmt.Appendf(nil, "%s %0*d %0*d %x ", organization, digits, s.number, digits, s.Size, s.Root)
	return fmt.Appendf(line, "%0*x\n", crcLength, crc32.ChecksumIEEE(line))
}

// parseSigned reads a line as signedForm writes it, to the byte.
func parseSigned(line []byte) (organization consent.ID, s signed, ok bool) {
	part := bytes.Split(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
	if len(line) != signedLine || len(part) != 5 {
		return organization, s, false
	}
	organization, ok = consent.ParseID(string(part[0]))
	number, err := strconv.ParseInt(string(part[1]), 10, 64)
	size, err2 := strconv.ParseInt(string(part[2]), 10, 64)
	root, err3 := hex.DecodeString(string(part[3]))
	if !ok || err != nil || err2 != nil || err3 != nil || len(root) != len(s.Root) || number <= 0 || size < 0 {
		return organization, s, false
	}
	s = signed{consent.LedgerRoot{Size: size, Root: [32]byte(root)}, number}
	return organization, s, bytes.Equal(signedForm(organization, s), line)
}

func wrongCheckpoints(path string, err error) error {
	return fmt.Errorf("file of checkpoints %s: %w", path, withoutPath(err))
}

// openOrMake opens a file, or makes an empty one, mode 0600.
func openOrMake(path string, flags int) (*os.File, fs.FileInfo, error) {
	_, err := os.Lstat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	if err == nil && fresh {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
