package native

import (
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func FuzzNewKey(f *testing.F) {
	for _, seed := range []string{
		`{"name":"site","scopes":["consents:read"],"expiresAt":"2030-01-02T15:04:05Z"}`, `{}`, `null`, `[]`,
		`{"name":1}`, `{"scopes":"consents:read"}`, `{"scopes":[null]}`, `{"expiresAt":"9999-12-31T23:59:59-01:00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request *newKey
		if err := protocol.UnmarshalStrict(body, &request); err != nil {
			if status, _, _ := protocol.Status(err); status != 400 && status != 422 {
				t.Fatalf("status %d for %v", status, err)
			}
			return
		}
		if request == nil { // which readBody refuses
			return
		}
		input, err := request.input()
		if err != nil {
			if !consent.IsKind(err, consent.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if given := request.ExpiresAt != nil; given == input.ExpiresAt.IsZero() {
			t.Fatalf("%s became %v", body, input.ExpiresAt)
		}
		shown := keyOf(&consent.Key{Name: input.Name, Scopes: input.Scopes, ExpiresAt: input.ExpiresAt})
		if _, err := protocol.JSON(201, shown); err != nil {
			t.Fatalf("cannot be answered: %v", err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	key, list := []byte("key"), "/api/v1/organizations/o/keys?"
	good := sealCursor(key, list, []byte{1, 2, 3})
	for _, seed := range []string{"", good, good + "=", good[1:], "AQIDAAAAAAAAAAAAAAAAAA", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if after := openCursor(key, list, given); after != nil && given != sealCursor(key, list, after) {
			t.Fatalf("%q opened %v", given, after)
		}
	})
}

func FuzzPointer(f *testing.F) {
	f.Add("items[3].state")
	f.Add("a/b~[]..")
	f.Fuzz(func(t *testing.T, field string) {
		p := pointerTo(field)
		if (p == "") != (field == "") || p != "" && !strings.HasPrefix(p, "/") {
			t.Fatalf("%q became %q", field, p)
		}
		for _, token := range strings.Split(p, "~")[1:] {
			if !strings.HasPrefix(token, "0") && !strings.HasPrefix(token, "1") {
				t.Fatalf("%q became %q, which is no JSON pointer", field, p)
			}
		}
	})
}

// FuzzCheck reads any body of a check: what is refused has its place, and what is not is answered by JSON that the
// decoder reads.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"identifiers":{"email":"a@b.c"},"purposes":["marketing"],"project":"default"}`,
		`{"subjects":[{"identifiers":{"userId":"ada","phone":"+493012345678"}},{}]}`, `{"subjects":[]}`, `{}`, `[]`,
		`{"identifiers":{},"subjects":[]}`, `{"identifiers":null,"purposes":[null]}`, `{"subjects":[null]}`,
		`{"identifiers":{"anonymousId":"x"},"purposes":[]}`, `{"identifiers":{"userId":"\u2028"},"at":1}`,
	} {
		f.Add([]byte(seed))
	}
	catalog := &consent.Catalog{Projects: []consent.Project{{Number: 1, Slug: "site"}},
		Purposes: []consent.Purpose{{Project: 1, Number: 1, Key: "marketing\u2028\"", Version: 1}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request *checkRequest
		if err := protocol.UnmarshalStrict(body, &request); err != nil || request == nil {
			return
		}
		q, several, err := request.query()
		var prepared *consent.PreparedCheck
		if err == nil {
			prepared, err = consent.PrepareCheck(consent.Actor{Root: true}, catalog, &q)
		}
		if err = inBody(err); err != nil {
			if status, field, _ := protocol.Status(err); status != 422 || strings.Contains(field, "people") {
				t.Fatalf("status %d, field %q", status, field)
			}
			return
		}
		var answers []consent.Checked
		for _, given := range prepared.People {
			answers = append(answers, prepared.Check(&consent.Meant{Given: given, Who: make([]consent.Who, len(given))},
				time.Time{}))
		}
		var decoded any
		if err := protocol.Unmarshal(checkAnswer(answers, several), &decoded); err != nil {
			t.Fatalf("cannot be read: %v", err)
		}
	})
}
