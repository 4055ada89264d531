package consent

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Scope is one permission of a key.
type Scope string

const (
	OrganizationsWrite Scope = "organizations:write"
	OrganizationsRead  Scope = "organizations:read"
	ConsentsWrite      Scope = "consents:write"
	ConsentsRead       Scope = "consents:read"
	SubjectsWrite      Scope = "subjects:write"
	SubjectsRead       Scope = "subjects:read"
	// ManageHub is named by a vendor's document; it allows what an e-mail based
	// preference form needs: to record consents of a person and to read them back.
	ManageHub  Scope = "manage:consent-hub-consent"
	LedgerRead Scope = "ledger:read"
)

// AllScopes lists every scope, in the order in which they are shown.
var AllScopes = []Scope{OrganizationsWrite, OrganizationsRead, ConsentsWrite, ConsentsRead,
	SubjectsWrite, SubjectsRead, ManageHub, LedgerRead}

// Key is an API key as it is kept: the secret itself is not here.
type Key struct {
	Organization ID // zero: the root key
	ID           ID
	Name         string
	Scopes       []Scope
	SecretHash   [32]byte // SHA-256 of the secret part
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
}

// Live tells whether the key may be used at that instant.
func (k *Key) Live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Actor is who calls: which key, for which organization, with which scopes.
// Authenticate makes one; In points it at the organization that a path or
// header names.
type Actor struct {
	Organization ID
	Key          ID
	Root         bool
	Scopes       []Scope
	// Person, where set, is the normalised user_id that this actor speaks for and is confined to.
	Person string
	seal   [32]byte // encrypts kept answers, see Once; only who has the credential can read them
}

// In points the actor at an organization. For another tenant's the answer is
// NotFound, the same as for one that does not exist.
func (a Actor) In(organization ID) (Actor, error) {
	if a.Root && organization != NoID {
		a.Organization = organization
		return a, nil
	}
	if a.Organization != organization || organization == NoID {
		return Actor{}, errNoOrganization
	}
	return a, nil
}

var errNoOrganization = &Error{Kind: NotFound, Msg: "organization not found"}

// Has tells whether the actor has a scope; the root key has all.
func (a Actor) Has(s Scope) bool { return a.Root || slices.Contains(a.Scopes, s) }

// need refuses an actor that lacks a scope.
func (a Actor) need(s Scope) error {
	if a.Has(s) {
		return nil
	}
	return Errorf(Forbidden, "", "the key lacks the scope %s", s)
}

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
func keyText(organization, id ID, secret [secretBytes]byte, test bool) string {
	prefix := keyPrefixLive
	if test {
		prefix = keyPrefixTest
	}
	s := prefix + encode62(append(organization[:], id[:]...), namesLen) + encode62(secret[:], secretLen)
	return s + keyChecksum(s)
}

// parsedKey is a key in text form taken apart.
type parsedKey struct {
	organization, id ID
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
	return parsedKey{ID(names[:16]), ID(names[16:]), sha256.Sum256(secret)}, true
}

// KeyID gives the id of a key in text form, whoever's it is and whether or not it is one that was made here.
func KeyID(text string) (id ID, ok bool) {
	parsed, ok := parseKey(text)
	return parsed.id, ok
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

// NewKey is a wish for a key.
type NewKey struct {
	Name      string    // 1 to 256 characters
	Scopes    []Scope   // at least one; none that the maker lacks
	ExpiresAt time.Time // zero: never
}

// CreatedKey is a new key with its text, which is shown once and kept nowhere.
type CreatedKey struct {
	Key
	Text string
}
