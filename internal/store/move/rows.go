package move

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"zombiezen.com/go/sqlite"
)

// A row on its way is one text of bytes: of each column its length in four bytes (-1: NULL) and its value as
// PostgreSQL sends and takes it in binary. From SQLite it is made so, from PostgreSQL it comes so; it is what COPY
// takes, and what both sides are compared by.

// appendRow appends the row that a statement of SQLite stands on.
func (t *moveTable) appendRow(b []byte, stmt *sqlite.Stmt) ([]byte, error) {
	for i, c := range t.columns {
		var err error
		if b, err = appendField(b, stmt, i, c.kind); err != nil {
			return b, fmt.Errorf("column %s: %w", c.name, err) // without the value: it may be personal data
		}
	}
	return b, nil
}

const nullLength = math.MaxUint32

func appendField(b []byte, stmt *sqlite.Stmt, i int, kind string) (_ []byte, err error) {
	if stmt.ColumnIsNull(i) {
		return binary.BigEndian.AppendUint32(b, nullLength), nil
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	switch kind {
	case "uuid", "bytea", "text":
		n := stmt.ColumnLen(i)
		b = append(b, make([]byte, n)...)
		stmt.ColumnBytes(i, b[at+4:])
		err = checkBytes(b[at+4:], kind)
	default:
		b, err = appendNumber(b, stmt.ColumnInt64(i), kind)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b, err
}

func checkBytes(value []byte, kind string) error {
	switch {
	case kind == "uuid" && len(value) != 16:
		return fmt.Errorf("an id of %d bytes", len(value))
	case kind == "text" && (!utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0):
		return errors.New("a text that is not UTF-8, or that holds NUL, which PostgreSQL cannot keep")
	}
	return nil
}

// appendNumber appends what SQLite keeps as an integer.
func appendNumber(b []byte, v int64, kind string) ([]byte, error) {
	switch {
	case kind == "int8":
		return binary.BigEndian.AppendUint64(b, uint64(v)), nil
	case kind == "timestamptz": // microseconds since 1970
		return binary.BigEndian.AppendUint64(b, uint64(v-epoch)), nil
	case kind == "int4" && v == int64(int32(v)):
		return binary.BigEndian.AppendUint32(b, uint32(v)), nil
	case kind == "int2" && v == int64(int16(v)):
		return binary.BigEndian.AppendUint16(b, uint16(v)), nil
	case kind == "bool" && v>>1 == 0:
		return append(b, byte(v)), nil
	}
	return b, fmt.Errorf("a number that is no %s", kind)
}

// epoch is PostgreSQL's in microseconds since 1970.
const epoch = 946684800 * 1_000_000

// split gives the first fields of a row, nil for NULL, and the bytes that they take.
func split(row []byte, n int) (fields [][]byte, size int, err error) {
	for range n {
		if len(row) < size+4 {
			return nil, 0, errors.New("a row is shorter than its columns")
		}
		length := binary.BigEndian.Uint32(row[size:])
		size += 4
		if length == nullLength {
			fields = append(fields, nil)
			continue
		}
		if uint64(len(row)-size) < uint64(length) {
			return nil, 0, errors.New("a field is longer than its row")
		}
		fields = append(fields, row[size:size+int(length):size+int(length)])
		size += int(length)
	}
	return fields, size, nil
}

// sqliteArgs gives a key, as it stands at the beginning of a row, in the form in which SQLite takes it.
func (t *moveTable) sqliteArgs(key [][]byte) (args []any) {
	for i, value := range key {
		switch kind := t.columns[i].kind; kind {
		case "text":
			args = append(args, string(value))
		case "int4":
			args = append(args, int64(int32(binary.BigEndian.Uint32(value))))
		default: // uuid, bytea: no key has another type, as a test makes sure
			args = append(args, value)
		}
	}
	return args
}

// tally is what two sides of a table are compared by: how many rows, and the sum of their SHA-256 modulo 2^256, which
// does not depend on their order.
type tally struct {
	rows int64
	sum  [4]uint64 // the least significant first
}

func (t *tally) add(row []byte) {
	hash := sha256.Sum256(row)
	var carry uint64
	for i := range t.sum {
		t.sum[i], carry = bits.Add64(t.sum[i], binary.BigEndian.Uint64(hash[24-8*i:]), carry)
	}
	t.rows++
}
