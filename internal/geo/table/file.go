package table

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// The file, before gzip: a magic word; the codes (a count, then two letters each, from number 1);
// the IPv4 ranges; the IPv6 ranges by upper half; and the ranges of every split half, in order.
// Ranges are a count, the distances between starts, and a byte of code each. Numbers are
// unsigned varints. Distances and codes lie apart because gzip then halves the file.
const magic = "consentd geo 1\n"

var errShort = errors.New("the table ends too early")

// Encode gives the bytes of a table. The same table always gives the same bytes.
func (t *Table) Encode() []byte {
	out := binary.AppendUvarint([]byte(magic), uint64(len(t.codes)-1))
	for _, code := range t.codes[1:] {
		out = append(out, code...)
	}
	out = appendRanges(out, t.v4)
	out = appendRanges(out, t.v6)
	for _, hi := range slices.Sorted(maps.Keys(t.parts)) {
		out = appendRanges(out, t.parts[hi])
	}
	return out
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*Table, error) {
	d := decoder{data: data}
	if string(d.take(len(magic))) != magic {
		return nil, errors.New("not a table of this version")
	}
	t := &Table{codes: d.codes(), parts: map[uint64]ranges[uint64]{}}
	t.v4 = readRanges[uint32](&d, none)
	t.v6 = readRanges[uint64](&d, split)
	for i, code := range t.v6.codes {
		if code == split {
			t.parts[t.v6.starts[i]] = readRanges[uint64](&d, none)
		}
	}
	if d.err == nil && len(d.data) > 0 {
		d.err = fmt.Errorf("%d bytes follow the table", len(d.data))
	}
	if d.err != nil {
		return nil, d.err
	}
	t.v4.buildIndex()
	t.v6.buildIndex()
	return t, nil
}

// Pack compresses an encoded table.
func Pack(encoded []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(encoded); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unpack gives the encoded table back.
func Unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking the table: %w", err)
	}
	var encoded bytes.Buffer
	encoded.Grow(4 * len(packed)) // near enough to save most of the copying
	if _, err := encoded.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("unpacking the table: %w", err)
	}
	return encoded.Bytes(), nil
}

func appendRanges[K uint32 | uint64](out []byte, r ranges[K]) []byte {
	out = binary.AppendUvarint(out, uint64(len(r.starts)))
	var last K
	for _, start := range r.starts {
		out = binary.AppendUvarint(out, uint64(start-last))
		last = start
	}
	return append(out, r.codes...)
}

// decoder reads a table from the front. After a first error it gives zeros.
type decoder struct {
	data  []byte
	known int // how many codes there are
	err   error
}

func (d *decoder) take(n int) []byte {
	if n > len(d.data) {
		d.fail(errShort)
		return nil
	}
	head := d.data[:n]
	d.data = d.data[n:]
	return head
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.data = d.data[n:]
	return v
}

// count reads how many things follow, of which each takes size bytes or more. What cannot be
// there is refused before memory is asked for it.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.data)/size) {
		d.fail(errShort)
		return 0
	}
	return int(n)
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.data = err, nil
	}
}

func (d *decoder) codes() []string {
	n := d.count(2)
	if n >= split {
		d.fail(fmt.Errorf("%d codes are more than the %d that fit", n, split-1))
		n = 0
	}
	codes := []string{none: ""}
	for range n {
		code := string(d.take(2))
		if !twoLetters(code) {
			d.fail(fmt.Errorf("%q is not a code of two capital letters", code))
		}
		codes = append(codes, code)
	}
	d.known = len(codes)
	return codes
}

// readRanges reads ranges whose codes are known ones or, where that is allowed, special.
func readRanges[K uint32 | uint64](d *decoder, special uint8) ranges[K] {
	n := d.count(2)
	r := ranges[K]{starts: make([]K, n)}
	var last K
	rest := d.data // kept here and not in d: this loop is most of the work of decoding
	for i := range r.starts {
		step, size := binary.Uvarint(rest)
		start := last + K(step)
		if size <= 0 || i == 0 && start != 0 || i > 0 && start <= last {
			d.fail(errors.New("the ranges end too early, or are out of order"))
			return ranges[K]{}
		}
		rest = rest[size:]
		r.starts[i], last = start, start
	}
	d.data = rest
	r.codes = bytes.Clone(d.take(n))
	for _, code := range r.codes {
		if int(code) >= d.known && code != special {
			d.fail(fmt.Errorf("there is no code number %d", code))
		}
	}
	if n == 0 {
		d.fail(errors.New("the ranges cover nothing"))
	}
	return r
}
