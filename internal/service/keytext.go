package service

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Text form of a key (contracts, "Keys and scopes"):
// cd_live_<organization and key id: 43><secret: 33><checksum: 6>, base62.
const (
	keyPrefixLive = "cd_live_"
	keyPrefixTest = "cd_test_"
	namesLen      = 43 // 32 bytes
	secretLen     = 33 // 24 bytes, 192 bits
	checksumLen   = 6  // CRC-32
	secretBytes   = 24
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// keyText shows a key in its text form.
func keyText(organization, id consent.ID, secret [secretBytes]byte, test bool) string {
	prefix := keyPrefixLive
	if test {
		prefix = keyPrefixTest
	}
	s := prefix + encode62(append(organization[:], id[:]...), namesLen) + encode62(secret[:], secretLen)
	return s + keyChecksum(s)
}

// parsedKey is a key in text form taken apart.
type parsedKey struct {
	organization, id consent.ID
	secretHash       [32]byte
}

// parseKey takes a key's text form apart; false where it is none, mistyped included.
func parseKey(s string) (parsedKey, bool) {
	const bodyLen = namesLen + secretLen
	if len(s) != len(keyPrefixLive)+bodyLen+checksumLen ||
		!strings.HasPrefix(s, keyPrefixLive) && !strings.HasPrefix(s, keyPrefixTest) {
		return parsedKey{}, false
	}
	end := len(s) - checksumLen
	if s[end:] != keyChecksum(s[:end]) {
		return parsedKey{}, false
	}
	body := s[len(keyPrefixLive):end]
	names, ok1 := decode62(body[:namesLen], 32)
	secret, ok2 := decode62(body[namesLen:], secretBytes)
	if !ok1 || !ok2 {
		return parsedKey{}, false
	}
	return parsedKey{consent.ID(names[:16]), consent.ID(names[16:]), sha256.Sum256(secret)}, true
}

// KeyID gives the id of a key in text form, whoever's it is and whether or not it is one that was made here.
func KeyID(text string) (id consent.ID, ok bool) {
	parsed, ok := parseKey(text)
	return parsed.id, ok
}

// KeyOrganization gives the organization of a key in text form; ok is false where it is none, such as the root key.
func KeyOrganization(text string) (organization consent.ID, ok bool) {
	parsed, ok := parseKey(text)
	return parsed.organization, ok
}

func keyChecksum(s string) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE([]byte(s)))
	return encode62(sum[:], checksumLen)
}

// encode62 writes bytes as a base62 number of exactly width digits.
func encode62(b []byte, width int) string {
	out := make([]byte, width)
	n, base, digit := new(big.Int).SetBytes(b), big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = base62[digit.Int64()]
	}
	return string(out)
}

// decode62 reads what encode62 wrote; false where a digit is none or the
// number needs more than size bytes.
func decode62(s string, size int) ([]byte, bool) {
	n, base := new(big.Int), big.NewInt(62)
	for i := range len(s) {
		d := strings.IndexByte(base62, s[i])
		if d < 0 {
			return nil, false
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	if n.BitLen() > size*8 {
		return nil, false
	}
	return n.FillBytes(make([]byte, size)), true
}
