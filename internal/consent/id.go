package consent

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// ID names anything of ours: a UUID (RFC 9562), version 7 where we made it.
type ID = uuid.UUID

// NoID is the zero ID.
var NoID ID

// ParseID reads the canonical 36-character form, in either case, and no other.
func ParseID(s string) (ID, bool) {
	if len(s) != 36 {
		return NoID, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// NewID makes a UUIDv7 of that instant from 10 random bytes.
func NewID(now time.Time, random [10]byte) ID {
	var id ID
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16)
	copy(id[6:], random[:])
	id[6] = 0x70 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// NextID makes a UUIDv7 that is greater than last, of that instant where it is
// later than last's, else of last's (RFC 9562 section 6.2, method 2: the
// random bits are the counter, raised by a random step).
func NextID(last ID, now time.Time, random [10]byte) ID {
	id := NewID(now, random)
	if id != last && string(id[:]) > string(last[:]) {
		return id
	}
	step := uint64(binary.BigEndian.Uint32(random[:4])) + 1
	low := binary.BigEndian.Uint64(last[8:]) & (1<<62 - 1)
	high := uint64(binary.BigEndian.Uint16(last[6:8]) & 0x0fff)
	ms := binary.BigEndian.Uint64(last[:8]) >> 16
	low += step
	if low >= 1<<62 {
		low -= 1 << 62
		if high++; high > 0x0fff {
			high = 0
			ms++
		}
	}
	binary.BigEndian.PutUint64(id[:8], ms<<16)
	binary.BigEndian.PutUint16(id[6:8], 0x7000|uint16(high))
	binary.BigEndian.PutUint64(id[8:], 1<<63|low)
	return id
}
