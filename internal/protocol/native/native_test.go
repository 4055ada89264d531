package native

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func TestPointerTo(t *testing.T) {
	for field, want := range map[string]string{
		"": "", "name": "/name", "items[3].state": "/items/3/state", "scopes[0]": "/scopes/0", "a/b~c": "/a~1b~0c",
		"items[0].evidence.locale": "/items/0/evidence/locale",
	} {
		if got := pointerTo(field); got != want {
			t.Errorf("%q: got %q, want %q", field, got, want)
		}
	}
}

func TestFaultAt(t *testing.T) {
	if f := faultAt(inQuery+"limit", "x"); f.Parameter != "limit" || f.Pointer != nil || f.Header != "" {
		t.Errorf("query: %+v", f)
	}
	if f := faultAt("Idempotency-Key", "x"); f.Header != "Idempotency-Key" || f.Pointer != nil || f.Parameter != "" {
		t.Errorf("header: %+v", f)
	}
	if f := faultAt("", "x"); f.Pointer == nil || *f.Pointer != "" {
		t.Errorf("whole body: %+v", f)
	}
}

func TestCursors(t *testing.T) {
	key, list := []byte("key"), "/api/v1/organizations/o/keys?state=accepted"
	after := []byte{1, 2, 3}
	sealed := sealCursor(key, list, after)
	if got := openCursor(key, list, sealed); string(got) != string(after) {
		t.Fatalf("got %v, want %v", got, after)
	}
	bent := []byte(sealed)
	bent[len(bent)-1] ^= 1
	for what, opened := range map[string][]byte{
		"another key":    openCursor([]byte("other"), list, sealed),
		"another list":   openCursor(key, "/api/v1/organizations/p/keys?state=accepted", sealed),
		"another filter": openCursor(key, "/api/v1/organizations/o/keys?", sealed),
		"bent":           openCursor(key, list, string(bent)),
		"longer":         openCursor(key, list, sealed+"A"),
		"shorter":        openCursor(key, list, sealed[:len(sealed)-2]),
		"padded":         openCursor(key, list, sealed+"="),
		"a line break":   openCursor(key, list, sealed+"\n"),
		"empty":          openCursor(key, list, ""),
		"too long":       openCursor(key, list, sealCursor(key, list, make([]byte, maxCursor))),
	} {
		if opened != nil {
			t.Errorf("%s: opened %v", what, opened)
		}
	}
}

func TestNewKeyInput(t *testing.T) {
	for _, tc := range []struct {
		expiresAt string
		want      time.Time
	}{
		{"2030-01-02T15:04:05Z", time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"2030-01-02t15:04:05z", time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"2030-01-02T15:04:05.123456789+02:00", time.Date(2030, 1, 2, 13, 4, 5, 123456789, time.UTC)},
	} {
		input, err := (&newKey{ExpiresAt: &tc.expiresAt}).input()
		if err != nil || input.ExpiresAt != tc.want {
			t.Errorf("%s: got %v, %v", tc.expiresAt, input.ExpiresAt, err)
		}
	}
	for _, bad := range []string{
		"", "2030-01-02", "2030-01-02 15:04:05Z", "2030-01-02T15:04:05", "2030-02-30T15:04:05Z",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "0000-06-01T00:00:00Z", "1893456000",
		"2030-01-02T15:04:05+18:01", "2030-01-02T15:04:05+24:00", "2030-01-02T15:04:05,5Z", "2030-01-02T5:04:05Z",
	} {
		if input, err := (&newKey{ExpiresAt: &bad}).input(); !consent.IsKind(err, consent.Invalid) {
			t.Errorf("%q: %v, %v", bad, input.ExpiresAt, err)
		}
	}
}

// TestKeyShown proves "times RFC 3339 UTC with microseconds" and which members are absent.
func TestKeyShown(t *testing.T) {
	k := consent.Key{Name: "n", Scopes: []consent.Scope{consent.ConsentsRead},
		CreatedAt: time.Date(2030, 1, 2, 15, 4, 5, 120000000, time.FixedZone("", 3600))}
	answer, err := protocol.JSON(200, keyOf(&k))
	const want = `{"id":"00000000-0000-0000-0000-000000000000","name":"n","scopes":["consents:read"],"createdAt":"2030-01-02T14:04:05.120000Z"}`
	if err != nil || string(answer.Body) != want {
		t.Errorf("got %s, %v\nwant %s", answer.Body, err, want)
	}
}
