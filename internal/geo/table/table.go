// Package table maps IP addresses to two-letter codes. It knows ranges, how they are
// stored and how to read them out of an .mmdb file; it does not know what a code means,
// where the data comes from, or which addresses belong to nobody.
package table

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"slices"
)

const (
	none  = 0   // the code of addresses that no network covers
	split = 255 // the code of a /64 that has ranges of its own
)

// Table is a sorted list of ranges in memory. A finished Table may be read from many goroutines.
type Table struct {
	codes []string // by the number that the ranges hold; codes[none] is ""
	v4    ranges[uint32]
	v6    ranges[uint64]            // by the upper half of an address
	parts map[uint64]ranges[uint64] // by the lower half, in each /64 that is split
}

// Code gives the code of an address, or "" where no network covers it.
func (t *Table) Code(addr netip.Addr) string {
	switch {
	case addr.Is4():
		return t.codes[t.v4.find(upper4(addr))]
	case addr.Is6():
		hi, lo := halves(addr)
		n := t.v6.find(hi)
		if n == split {
			part := t.parts[hi]
			n = part.find(lo)
		}
		return t.codes[n]
	default:
		return ""
	}
}

// Rename puts what name gives in place of every code. Where it gives "", the addresses read as
// covered by no network. Two codes may become one.
func (t *Table) Rename(name func(code string) string) {
	for i, code := range t.codes {
		if code != "" {
			t.codes[i] = name(code)
		}
	}
}

// Codes gives the codes in use, sorted.
func (t *Table) Codes() []string {
	codes := slices.DeleteFunc(slices.Clone(t.codes), func(c string) bool { return c == "" })
	slices.Sort(codes)
	return slices.Compact(codes)
}

// All gives the first address of every range with its code, in order, IPv4 first.
func (t *Table) All() iter.Seq2[netip.Addr, string] {
	return func(yield func(netip.Addr, string) bool) {
		for i, start := range t.v4.starts {
			if !yield(addr4(start), t.codes[t.v4.codes[i]]) {
				return
			}
		}
		for i, hi := range t.v6.starts {
			if t.v6.codes[i] != split {
				if !yield(addr6(hi, 0), t.codes[t.v6.codes[i]]) {
					return
				}
				continue
			}
			part := t.parts[hi]
			for j, lo := range part.starts {
				if !yield(addr6(hi, lo), t.codes[part.codes[j]]) {
					return
				}
			}
		}
	}
}

// ranges cover every value of K from 0 up. Range i runs from starts[i] to the start of the next.
type ranges[K uint32 | uint64] struct {
	starts []K
	codes  []uint8
	// index, where there is one, names for each value of the top 16 bits the range that holds
	// the first address under it, and at the end the last range. It halves the time of a look-up.
	index []uint32
}

// find gives the code of the range that holds k.
func (r *ranges[K]) find(k K) uint8 {
	at, n := 0, len(r.starts)
	if r.index != nil {
		top := k >> topShift[K]()
		at = int(r.index[top])
		n = int(r.index[top+1]) - at + 1
	}
	for n > 1 {
		half := n / 2
		if r.starts[at+half] <= k {
			at += half
		}
		n -= half
	}
	return r.codes[at]
}

func (r *ranges[K]) buildIndex() {
	r.index = make([]uint32, 1<<16+1)
	at := 0
	for top := range 1 << 16 {
		for at+1 < len(r.starts) && r.starts[at+1] <= K(top)<<topShift[K]() {
			at++
		}
		r.index[top] = uint32(at)
	}
	r.index[1<<16] = uint32(len(r.starts) - 1)
}

// topShift is how far to shift a value for its top 16 bits to remain.
func topShift[K uint32 | uint64]() int { return bits.Len64(uint64(^K(0))) - 16 }

// push opens a range, unless the one before it has the same code.
// Split halves never join: each has its own part.
func (r *ranges[K]) push(start K, code uint8) {
	if n := len(r.codes); n > 0 && r.codes[n-1] == code && code != split {
		return
	}
	r.starts = append(r.starts, start)
	r.codes = append(r.codes, code)
}

// filler adds ranges in order and covers the gaps between them.
type filler[K uint32 | uint64] struct {
	ranges[K]
	next K    // the first value that is not covered yet
	full bool // nothing is left to cover, and next has no meaning
}

func (f *filler[K]) add(first, last K, code uint8) error {
	if f.full || first < f.next {
		return fmt.Errorf("%#x to %#x comes after %#x", first, last, f.next)
	}
	if first > f.next {
		f.push(f.next, none)
	}
	f.push(first, code)
	f.next = last + 1
	f.full = f.next == 0
	return nil
}

func (f *filler[K]) finish() ranges[K] {
	if !f.full {
		f.push(f.next, none)
	}
	return f.ranges
}

func upper4(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

func halves(addr netip.Addr) (hi, lo uint64) {
	b := addr.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func addr4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, v)))
}

func addr6(hi, lo uint64) netip.Addr {
	b := binary.BigEndian.AppendUint64(nil, hi)
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(b, lo)))
}
