package journal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
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
// system, that others may write the file, that it is another one, and that what it holds of a ledger is damaged.
func OpenCheckpoints(path string) (*Checkpoints, error) {
	file, info, err := openOrMake(path, os.O_RDWR)
	return openedCheckpoints(path, file, info, err)
}

// OpenCheckpointsToRead opens a file that is there, for all but Put. Errors: those of OpenCheckpoints, and
// fs.ErrNotExist where there is none.
func OpenCheckpointsToRead(path string) (*Checkpoints, error) {
	file, info, err := openThere(path, os.O_RDONLY)
	return openedCheckpoints(path, file, info, err)
}

func openedCheckpoints(path string, file *os.File, info fs.FileInfo, err error) (*Checkpoints, error) {
	if err != nil {
		return nil, wrongCheckpoints(path, err)
	}
	c := &Checkpoints{path: path, file: file, seen: info, at: map[consent.ID]int64{}}
	if err := c.locked(syscall.LOCK_SH, c.scan); err != nil {
		_ = file.Close()
		return nil, wrongCheckpoints(path, err)
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
			if err := c.file.Truncate(place); err != nil {
				return err
			}
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
		return newest, 0, 0, damagedPair(place)
	}
	return newest, place, older, nil
}

// scan looks for ledgers behind those that are known. What was damaged is an error, since a second history would be
// signed of a ledger that is passed over; what a process that died left of the last pair is none. The file is locked.
func (c *Checkpoints) scan() error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	for left := info.Size() - c.scanned; left > 0; left = info.Size() - c.scanned {
		pairs := make([]byte, min(scannedAtOne, left))
		if _, err := c.file.ReadAt(pairs, c.scanned); err != nil {
			return err
		}
		for ; len(pairs) >= signedPair; pairs = pairs[signedPair:] {
			organization, whole := ofPair(pairs[:signedPair])
			if _, twice := c.at[organization]; !whole || twice {
				if last := c.scanned+signedPair >= info.Size(); last && !whole && neverWhole(pairs[:signedPair]) {
					return nil
				}
				return damagedPair(c.scanned)
			}
			c.at[organization] = c.scanned
			c.scanned += signedPair
		}
		if len(pairs) > 0 {
			if !neverWhole(pairs) {
				return damagedPair(c.scanned)
			}
			return nil
		}
	}
	return nil
}

// damagedPair says what to do where it is not known any more what was signed of a ledger.
func damagedPair(place int64) error {
	return fmt.Errorf("line %d and the one behind it are damaged, so it is not known what was signed of a ledger: mend "+
		"them, or put back a copy; where there is none, move the file away, whereupon a server goes on from the newest "+
		"checkpoints in the store", place/signedLine+1)
}

// ofPair tells whose the lines of a ledger are; false: neither of them is valid, or they are of two.
func ofPair(pair []byte) (organization consent.ID, whole bool) {
	first, _, ok1 := parseSigned(pair[:signedLine])
	second, _, ok2 := parseSigned(pair[signedLine:])
	if !ok1 {
		return second, ok2
	}
	return first, !ok2 || second == first
}

// neverWhole tells whether this is what is left of the first lines of a ledger where the process, or the power, ended
// while they were written: nobody was shown that checkpoint. Some file systems have the length first, and zeros at the
// end or at the beginning, where nothing came.
func neverWhole(pair []byte) bool {
	came := bytes.Trim(pair, "\x00")
	from := bytes.Index(pair, came)
	if len(pair) == signedPair && from == 0 && len(came) >= signedLine {
		return false // the line that counts has come
	}
	for i, b := range came {
		if !mayStand(from+i, b) {
			return false
		}
	}
	return true
}

// mayStand tells whether a byte may stand at a place in the first lines of a ledger.
func mayStand(place int, b byte) bool {
	const number = "0123456789"
	const pattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx 00000000000000000000 00000000000000000000 "
	switch {
	case place%signedLine == signedLine-1:
		return b == '\n'
	case place >= signedLine, place == len(pattern)+rootLength:
		return b == ' '
	case place >= len(pattern) || pattern[place] == 'x':
		return bytes.IndexByte([]byte(number+"abcdef"), b) >= 0
	case pattern[place] == '0':
		return bytes.IndexByte([]byte(number), b) >= 0
	}
	return b == pattern[place]
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
