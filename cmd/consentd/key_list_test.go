package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// wide are those characters of the texts below that take two columns of a terminal.
const wide = "同意書👍한"

func columnsOf(line string) int {
	n := 0
	for _, r := range line {
		n++
		if strings.ContainsRune(wide, r) {
			n++
		}
	}
	return n
}

func TestKeyListIsNeverWide(t *testing.T) {
	id, _ := consent.ParseID("0198c0de-5eed-7000-8000-000000000001")
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	for _, text := range []string{"w", strings.Repeat("w", 256), strings.Repeat("同意書", 80), strings.Repeat("👍한", 128),
		strings.Repeat("a同", 128), strings.Repeat("\x1b[31m", 50), strings.Repeat("\U000e0001", 256),
		strings.Repeat("e\u0301", 128)} {
		var out strings.Builder
		table := keyTable{out: &out, now: now}
		o := &consent.Organization{ID: id, Slug: text}
		for set := range 1 << len(consent.AllScopes) {
			key := consent.Key{ID: id, Name: text, CreatedAt: last, ExpiresAt: last}
			for i, s := range consent.AllScopes {
				if set>>i&1 == 1 {
					key.Scopes = append(key.Scopes, s)
				}
			}
			revoked, expired := key, key
			revoked.RevokedAt, expired.ExpiresAt = last, now
			for _, k := range []*consent.Key{&key, &revoked, &expired} {
				table.key(o, k)
			}
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if columnsOf(line) > 100 || strings.ContainsRune(line, '\x1b') {
				t.Fatalf("%d columns: %q", columnsOf(line), line)
			}
		}
	}
}

func TestKeyList(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 2, day, 12, 0, 0, 0, time.UTC) }
	one, _ := consent.ParseID("0198c0de-5eed-7000-8000-000000000001")
	two, _ := consent.ParseID("0198c0de-5eed-7000-8000-000000000002")
	var out strings.Builder
	table := keyTable{out: &out, now: at(10)}
	acme, shop := &consent.Organization{ID: one, Slug: "acme"}, &consent.Organization{ID: two, Slug: "shop"}
	fewer := consent.AllScopes[:8]
	table.key(acme, &consent.Key{ID: one, Name: "first key", Scopes: consent.AllScopes, CreatedAt: at(1)})
	table.key(acme, &consent.Key{ID: two, Name: "reports", Scopes: fewer, CreatedAt: at(2), ExpiresAt: at(11)})
	table.key(shop, &consent.Key{ID: one, Name: "a name that is too long", Scopes: fewer[:1], CreatedAt: at(3),
		ExpiresAt: at(10)})
	table.key(shop, &consent.Key{ID: two, Name: "同意", Scopes: fewer[:2], CreatedAt: at(4), ExpiresAt: at(11),
		RevokedAt: at(9)})
	const want = `Organization 0198c0de-5eed-7000-8000-000000000001 acme
ID                                    NAME                  CREATED     ENDS
0198c0de-5eed-7000-8000-000000000001  "first key"           2026-02-01  never
    all scopes
0198c0de-5eed-7000-8000-000000000002  "reports"             2026-02-02  2026-02-11T12:00:00Z
    organizations:write, organizations:read, consents:write, consents:read, subjects:write,
    subjects:read, subjects:erase, manage:consent-hub-consent

Organization 0198c0de-5eed-7000-8000-000000000002 shop
ID                                    NAME                  CREATED     ENDS
0198c0de-5eed-7000-8000-000000000001  "a name that is too…  2026-02-03  expired 2026-02-10T12:00:00Z
    organizations:write
0198c0de-5eed-7000-8000-000000000002  "同意"                2026-02-04  revoked 2026-02-09T12:00:00Z
    organizations:write, organizations:read
`
	if out.String() != want || table.err != nil {
		t.Errorf("%v\n%s", table.err, out.String())
	}
	table.out = full{}
	table.key(acme, &consent.Key{ID: one})
	if !errors.Is(table.err, errFull) {
		t.Errorf("on a full disk: %v", table.err)
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
