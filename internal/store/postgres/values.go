package postgres

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store/engine"
)

// PostgreSQL's binary forms of the few types that the schema has
// (https://www.postgresql.org/docs/15/protocol-overview.html#PROTOCOL-FORMAT-CODES, src/backend/utils/adt).

// sqlTypes names the types that arguments have, by their OIDs.
var sqlTypes = map[uint32]string{pgtype.UUIDOID: "uuid", pgtype.Int8OID: "int8", pgtype.TextOID: "text",
	pgtype.BoolOID: "bool", pgtype.ByteaOID: "bytea", pgtype.TimestamptzOID: "timestamptz"}

var arrayTypes = map[uint32]uint32{pgtype.UUIDOID: pgtype.UUIDArrayOID, pgtype.Int8OID: pgtype.Int8ArrayOID,
	pgtype.TextOID: pgtype.TextArrayOID, pgtype.BoolOID: pgtype.BoolArrayOID, pgtype.ByteaOID: pgtype.ByteaArrayOID,
	pgtype.TimestamptzOID: pgtype.TimestamptzArrayOID}

// year2000 is PostgreSQL's epoch in microseconds since 1970.
const year2000 = 946684800 * 1_000_000

// appendValue appends the binary form of an argument and tells its type; null: it has none.
func appendValue(b []byte, arg any) (_ []byte, oid uint32, null bool, err error) {
	switch v := arg.(type) {
	case consent.ID:
		return append(b, v[:]...), pgtype.UUIDOID, false, nil
	case *consent.ID:
		return append(b, v[:]...), pgtype.UUIDOID, false, nil
	case *engine.OptionalID:
		return append(b, v[:]...), pgtype.UUIDOID, consent.ID(*v) == consent.NoID, nil
	case int:
		return binary.BigEndian.AppendUint64(b, uint64(v)), pgtype.Int8OID, false, nil
	case int64:
		return binary.BigEndian.AppendUint64(b, uint64(v)), pgtype.Int8OID, false, nil
	case *int64:
		return binary.BigEndian.AppendUint64(b, uint64(*v)), pgtype.Int8OID, false, nil
	case bool:
		bit := byte(0)
		if v {
			bit = 1
		}
		return append(b, bit), pgtype.BoolOID, false, nil
	case string:
		return append(b, v...), pgtype.TextOID, false, nil
	case *string:
		return append(b, *v...), pgtype.TextOID, false, nil
	case []byte:
		return append(b, v...), pgtype.ByteaOID, v == nil, nil
	case engine.OptionalText:
		return append(b, v...), pgtype.TextOID, v == nil, nil
	case *time.Time:
		return binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro()-year2000)), pgtype.TimestamptzOID, v.IsZero(), nil
	}
	return b, 0, false, fmt.Errorf("no way to bind a %T", arg)
}

// column gathers the values that one parameter has in the rows of a set, as the binary form of an array.
type column struct {
	oid   uint32
	b     []byte
	nulls bool
}

// arrayHead is the size of what stands before the elements: dimensions, null flag, type, length, lower bound.
const arrayHead = 20

func (c *column) reset() { c.oid, c.nulls, c.b = 0, false, append(c.b[:0], make([]byte, arrayHead)...) }

func (c *column) add(arg any) error {
	at := len(c.b)
	b, oid, null, err := appendValue(append(c.b, 0, 0, 0, 0), arg)
	if err != nil {
		return err
	}
	if c.oid == 0 {
		c.oid = oid
	}
	if oid != c.oid {
		return fmt.Errorf("a parameter is of type %s in one row and of %s in another", sqlTypes[c.oid], sqlTypes[oid])
	}
	size := uint32(len(b) - at - 4)
	if null {
		b, size, c.nulls = b[:at+4], 1<<32-1, true
	}
	binary.BigEndian.PutUint32(b[at:], size)
	c.b = b
	return nil
}

// array gives the whole array.
func (c *column) array(n int) []byte {
	head := [...]uint32{1, 0, c.oid, uint32(n), 1}
	if c.nulls {
		head[1] = 1
	}
	for i, v := range head {
		binary.BigEndian.PutUint32(c.b[4*i:], v)
	}
	return c.b
}

// scanValue puts a value of an answer, in its binary form, where target points; nil is NULL and gives zero.
func scanValue(oid uint32, b []byte, target any) error {
	switch v := target.(type) {
	case *consent.ID:
		*v = consent.NoID
		copy(v[:], b)
	case *int:
		n, err := integer(oid, b)
		*v = int(n)
		return err
	case *uint8:
		n, err := integer(oid, b)
		*v = uint8(n)
		return err
	case *int64:
		n, err := integer(oid, b)
		*v = n
		return err
	case *bool:
		*v = len(b) == 1 && b[0] != 0
	case *string:
		*v = string(b)
	case *[]byte:
		*v = nil
		if b != nil {
			*v = append(make([]byte, 0, len(b)), b...)
		}
	case *engine.Appended:
		v.Append(len(b))
		copy(v.Value, b)
	case *time.Time:
		*v = time.Time{}
		if len(b) == 8 {
			*v = time.UnixMicro(int64(binary.BigEndian.Uint64(b)) + year2000).UTC()
		}
	default:
		return fmt.Errorf("no way to scan into a %T", target)
	}
	return nil
}

func integer(oid uint32, b []byte) (int64, error) {
	switch {
	case b == nil:
		return 0, nil
	case oid == pgtype.Int8OID && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	case oid == pgtype.Int4OID && len(b) == 4:
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case oid == pgtype.Int2OID && len(b) == 2:
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	}
	return 0, fmt.Errorf("type %d is no integer", oid)
}
