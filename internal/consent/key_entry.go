package consent

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// The entries of API keys say what a key may do and until when. They hold neither the secret nor a hash of it, and not
// its name: that is free text, which may name a person, and these entries are there for good.

// KeyEntry makes the entry of a key that was made, but for its place in the ledger.
func (a Actor) KeyEntry(k *Key) LedgerEntry { return a.entryOf(KeyEntry, k.entryBody()) }

// KeyRevocationEntry makes the entry of a key that was revoked, but for its place in the ledger.
func (a Actor) KeyRevocationEntry(k *Key) LedgerEntry {
	return a.entryOf(KeyRevocationEntry, k.revocationBody())
}

func (a Actor) entryOf(kind EntryKind, body []byte) LedgerEntry {
	ident := append(appendMember([]byte{'{'}, "key", a.Key.String()), '}')
	return LedgerEntry{Organization: a.Organization, Kind: kind, BodyJSON: body, IdentityJSON: ident}
}

func (k *Key) entryBody() []byte {
	scopes := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		scopes[i] = string(s)
	}
	slices.Sort(scopes)
	b := appendMember([]byte{'{'}, "created_at", formatInstant(k.CreatedAt))
	b = appendMember(b, "entry", KeyEntry.String())
	if !k.ExpiresAt.IsZero() {
		b = appendMember(b, "expires_at", formatInstant(k.ExpiresAt))
	}
	b = appendMember(b, "key_id", k.ID.String())
	return append(appendMember(b, "scopes", strings.Join(scopes, " ")), '}')
}

func (k *Key) revocationBody() []byte {
	b := appendMember([]byte{'{'}, "entry", KeyRevocationEntry.String())
	b = appendMember(b, "key_id", k.ID.String())
	return append(appendMember(b, "revoked_at", formatInstant(k.RevokedAt)), '}')
}

// ReadKey reads which key an entry of a key is about. The error says that it is none.
func ReadKey(body []byte) (ID, error) {
	var said struct {
		Entry string
		Key   string `json:"key_id"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return NoID, err
	}
	id, ok := ParseID(said.Key)
	if !ok || said.Entry != KeyEntry.String() && said.Entry != KeyRevocationEntry.String() {
		return NoID, errors.New("it names no key")
	}
	return id, nil
}

// CheckKey holds a key as it is on record against the body of its entry. Errors: a *Mismatch, or that the body is
// damaged.
func CheckKey(body []byte, k *Key) error {
	return sameMembers(body, k.entryBody(), func(string) bool { return true })
}

// CheckRevocation is CheckKey of the entry by which it was revoked.
func CheckRevocation(body []byte, k *Key) error {
	return sameMembers(body, k.revocationBody(), func(string) bool { return true })
}
