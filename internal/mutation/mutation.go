// Package mutation knows how to change bytes that somebody is to verify, as damage does and as somebody who cheats
// would. It knows nothing of who verifies them, nor which changes should matter. Only tests import it.
package mutation

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Kinds are the names of the changes that Mutator knows.
func Kinds() []string { return slices.Sorted(maps.Keys(changes)) }

// changes give valid bytes changed; other is something else that is valid, or was valid in the same place.
var changes = map[string]func(random *rand.Rand, valid, other []byte) []byte{
	"bit":       flipBit,
	"byte":      setByte,
	"swap":      swapBytes,
	"cut":       cut,
	"cut out":   cutOut,
	"repeat":    repeat,
	"splice":    splice,
	"exchange":  exchange,
	"member":    repeatMember,
	"base64":    respell,
	"escape":    escape,
	"white":     addWhite,
	"number":    changeNumber,
	"case":      changeCase,
	"line":      moveLine,
	"two kinds": nil, // made of the others
}

// Mutator changes bytes. It is for one goroutine.
type Mutator struct {
	random *rand.Rand
	kinds  []string
}

// New gives a Mutator that makes the same changes for the same seed.
func New(seed uint64) *Mutator { return &Mutator{rand.New(rand.NewPCG(seed, 0)), Kinds()} }

// Change gives a change of valid bytes, and its kind. It may be none, where there is nothing for that kind.
func (m *Mutator) Change(valid, other []byte) (kind string, changed []byte) {
	kind = m.kinds[m.random.IntN(len(m.kinds))]
	return kind, m.By(kind, valid, other)
}

// By is Change by one kind.
func (m *Mutator) By(kind string, valid, other []byte) []byte {
	if len(valid) == 0 {
		return nil
	}
	if change := changes[kind]; change != nil {
		return change(m.random, bytes.Clone(valid), other)
	}
	changed := valid
	for range 2 {
		if one := m.kinds[m.random.IntN(len(m.kinds))]; changes[one] != nil && len(changed) > 0 {
			changed = changes[one](m.random, bytes.Clone(changed), other)
		}
	}
	return changed
}

// Pick gives one of a number.
func (m *Mutator) Pick(n int) int { return m.random.IntN(n) }

func flipBit(random *rand.Rand, b, _ []byte) []byte {
	b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	return b
}

func setByte(random *rand.Rand, b, _ []byte) []byte {
	b[random.IntN(len(b))] = byte(random.IntN(256))
	return b
}

func swapBytes(random *rand.Rand, b, _ []byte) []byte {
	i, j := random.IntN(len(b)), random.IntN(len(b))
	if random.IntN(2) == 0 {
		j = min(i+1, len(b)-1)
	}
	b[i], b[j] = b[j], b[i]
	return b
}

func cut(random *rand.Rand, b, _ []byte) []byte { return b[:random.IntN(len(b))] }

// span gives a part of some bytes, mostly a short one.
func span(random *rand.Rand, length int) (from, to int) {
	from = random.IntN(length)
	most := length - from
	if random.IntN(4) > 0 {
		most = min(most, 40)
	}
	return from, from + 1 + random.IntN(most)
}

func cutOut(random *rand.Rand, b, _ []byte) []byte {
	from, to := span(random, len(b))
	return slices.Delete(b, from, to)
}

func repeat(random *rand.Rand, b, _ []byte) []byte {
	from, to := span(random, len(b))
	return slices.Insert(b, to, bytes.Clone(b[from:to])...)
}

// splice joins the beginning of one and the end of the other.
func splice(random *rand.Rand, b, other []byte) []byte {
	at := random.IntN(len(b) + 1)
	behind := at
	if random.IntN(2) == 0 {
		behind = random.IntN(len(other) + 1)
	}
	return append(b[:at:at], other[min(behind, len(other)):]...)
}

// exchange takes a part of the other in the same place.
func exchange(random *rand.Rand, b, other []byte) []byte {
	from, to := span(random, len(b))
	copy(b[from:to], other[min(from, len(other)):])
	return b
}

// repeatMember has a member or an element of JSON twice, or another one instead.
func repeatMember(random *rand.Rand, b, other []byte) []byte {
	member := memberOf(random, b)
	if len(other) > 0 && random.IntN(2) == 0 {
		member = memberOf(random, other)
	}
	var ends []int
	for i, c := range b {
		if c == ',' || c == '}' || c == ']' {
			ends = append(ends, i)
		}
	}
	if len(ends) == 0 {
		return append(b, member...)
	}
	return slices.Insert(b, ends[random.IntN(len(ends))], append([]byte{','}, member...)...)
}

func memberOf(random *rand.Rand, b []byte) []byte {
	parts := bytes.FieldsFunc(b, func(r rune) bool { return r == ',' || r == '{' || r == '}' })
	if len(parts) == 0 {
		return nil
	}
	return bytes.Clone(parts[random.IntN(len(parts))])
}

// encoded finds what looks like base64.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/]{16,}={0,2}`)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// respell spells base64 in another way that some decoders take for the same.
func respell(random *rand.Rand, b, _ []byte) []byte {
	found := encoded.FindAllIndex(b, -1)
	if len(found) == 0 {
		return b
	}
	at := found[random.IntN(len(found))]
	text := string(b[at[0]:at[1]])
	bare := strings.TrimRight(text, "=")
	switch random.IntN(5) {
	case 0: // bits behind the last byte
		last := strings.IndexByte(alphabet, bare[len(bare)-1])
		text = bare[:len(bare)-1] + string(alphabet[last^(1+random.IntN(3))]) + text[len(bare):]
	case 1:
		text = bare
	case 2:
		text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	case 3:
		n := random.IntN(len(text))
		text = text[:n] + []string{"\n", "\r", `\n`, " ", "="}[random.IntN(5)] + text[n:]
	case 4:
		text += "="
	}
	return slices.Concat(b[:at[0]], []byte(text), b[at[1]:])
}

// escape writes a letter as JSON may, too.
func escape(random *rand.Rand, b, _ []byte) []byte {
	i := random.IntN(len(b))
	return slices.Concat(b[:i], fmt.Appendf(nil, `\u%04x`, b[i]), b[i+1:])
}

func addWhite(random *rand.Rand, b, _ []byte) []byte {
	return slices.Insert(b, random.IntN(len(b)+1), []byte("\n \t\r\x00\u00a0")[random.IntN(7)])
}

var number = regexp.MustCompile(`[0-9]+`)

// changeNumber writes another number, or the same one in another way.
func changeNumber(random *rand.Rand, b, _ []byte) []byte {
	found := number.FindAllIndex(b, -1)
	if len(found) == 0 {
		return b
	}
	at := found[random.IntN(len(found))]
	old := string(b[at[0]:at[1]])
	now := []string{"0" + old, "+" + old, "-" + old, old + ".0", old + "e0", old + "0", "0", "9223372036854775807",
		"18446744073709551615", fmt.Sprint(random.IntN(1000))}[random.IntN(10)]
	return slices.Concat(b[:at[0]], []byte(now), b[at[1]:])
}

func changeCase(random *rand.Rand, b, _ []byte) []byte {
	i := random.IntN(len(b))
	for n := range len(b) {
		if c := b[(i+n)%len(b)] | 0x20; c >= 'a' && c <= 'z' {
			b[(i+n)%len(b)] ^= 0x20
			break
		}
	}
	return b
}

// moveLine puts a line elsewhere, or has it twice, or not at all, or in place of another's.
func moveLine(random *rand.Rand, b, other []byte) []byte {
	lines, more := bytes.SplitAfter(b, []byte("\n")), bytes.SplitAfter(other, []byte("\n"))
	i, j := random.IntN(len(lines)), random.IntN(len(lines))
	switch random.IntN(4) {
	case 0:
		lines[i], lines[j] = lines[j], lines[i]
	case 1:
		lines = slices.Insert(lines, j, lines[i])
	case 2:
		lines = slices.Delete(lines, i, i+1)
	case 3:
		lines[i] = more[random.IntN(len(more))]
	}
	return bytes.Join(lines, nil)
}
