package table

import (
	"fmt"
	"net/netip"
)

// A Builder makes a Table from networks given in ascending order, IPv4 and IPv6 each in its own.
type Builder struct {
	numbers map[string]uint8
	codes   []string
	v4      filler[uint32]
	v6      filler[uint64]
	parts   map[uint64]ranges[uint64]
	part    filler[uint64] // the /64 that is being filled,
	partOf  uint64         // which is this one,
	open    bool           // if any is.
}

// NewBuilder gives an empty Builder.
func NewBuilder() *Builder {
	return &Builder{
		numbers: map[string]uint8{"": none},
		codes:   []string{none: ""},
		parts:   map[uint64]ranges[uint64]{},
	}
}

// Add gives the addresses of a network a code of two letters; "" says that nothing is known of them.
func (b *Builder) Add(network netip.Prefix, code string) error {
	number, err := b.number(code)
	if err != nil {
		return fmt.Errorf("network %s: %w", network, err)
	}
	bits := network.Bits()
	switch addr := network.Masked().Addr(); {
	case addr.Is4():
		first := upper4(addr)
		err = b.v4.add(first, first|uint32(1<<(32-bits)-1), number)
	case addr.Is6() && bits <= 64:
		b.closePart()
		hi, _ := halves(addr)
		err = b.v6.add(hi, hi|^uint64(0)>>bits, number)
	case addr.Is6():
		err = b.addPart(addr, bits, number)
	default:
		err = fmt.Errorf("not a network")
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", network, err)
	}
	return nil
}

// addPart adds a network that is smaller than a /64.
func (b *Builder) addPart(addr netip.Addr, bits int, number uint8) error {
	hi, lo := halves(addr)
	if !b.open || hi != b.partOf {
		b.closePart()
		if err := b.v6.add(hi, hi, split); err != nil {
			return err
		}
		b.partOf, b.open = hi, true
	}
	return b.part.add(lo, lo|^uint64(0)>>(bits-64), number)
}

func (b *Builder) closePart() {
	if !b.open {
		return
	}
	b.parts[b.partOf] = b.part.finish()
	b.part, b.open = filler[uint64]{}, false
}

func (b *Builder) number(code string) (uint8, error) {
	if number, ok := b.numbers[code]; ok {
		return number, nil
	}
	if !twoLetters(code) {
		return 0, fmt.Errorf("%q is not a code of two capital letters", code)
	}
	if len(b.codes) == split {
		return 0, fmt.Errorf("%q is one code more than the %d that fit", code, split-1)
	}
	number := uint8(len(b.codes))
	b.numbers[code] = number
	b.codes = append(b.codes, code)
	return number, nil
}

// Table gives what was built. The Builder is used up.
func (b *Builder) Table() *Table {
	b.closePart()
	t := &Table{codes: b.codes, v4: b.v4.finish(), v6: b.v6.finish(), parts: b.parts}
	t.v4.buildIndex()
	t.v6.buildIndex()
	return t
}

func twoLetters(code string) bool {
	return len(code) == 2 && isCapital(code[0]) && isCapital(code[1])
}

func isCapital(c byte) bool { return 'A' <= c && c <= 'Z' }
