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

func TestPageOf(t *testing.T) {
	id := consent.ID{1, 2, 3}
	for query, want := range map[string]page{
		"":                               {limit: 100},
		"limit=1":                        {limit: 1},
		"limit=1000&other=x":             {limit: 1000},
		"cursor=" + cursorOf(id):         {limit: 100, after: id},
		"limit=7&cursor=" + cursorOf(id): {limit: 7, after: id},
	} {
		if got, err := pageOf(query); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", query, got, err, want)
		}
	}
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=-1", "limit=", "limit=x", "limit=1&limit=1", "limit=99999999999999999999",
		"limit=%2B1",
		"cursor=", "cursor=AQID", "cursor=" + cursorOf(id) + "%3D%3D", "cursor=" + cursorOf(id) + "%0A",
		"cursor=" + cursorOf(consent.NoID),
		"cursor=" + cursorOf(id) + "&cursor=" + cursorOf(id), "%zz",
	} {
		if p, err := pageOf(query); !consent.IsKind(err, consent.Invalid) {
			t.Errorf("%q: %+v, %v", query, p, err)
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
	if _, err := (*newKey)(nil).input(); !consent.IsKind(err, consent.Invalid) {
		t.Errorf("null: %v", err)
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
