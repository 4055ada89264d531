package consenthub

import (
	"strings"
	"testing"
	"unicode"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// refused holds an error against the rules for errors about a body: a kind that is
// the client's fault, and nothing of what the body says.
func refused(t *testing.T, err error, personal ...*string) {
	t.Helper()
	status, field, msg := protocol.Status(err)
	if status != 400 {
		t.Fatalf("status %d for %v", status, err)
	}
	for _, secret := range personal {
		if secret != nil && len(*secret) > 8 && strings.Contains(protocol.Message(field, msg), *secret) {
			t.Fatalf("the error repeats what was sent: %s", msg)
		}
	}
}

func FuzzConsentRequest(f *testing.F) {
	for _, seed := range []string{
		`{"consents":[{"displayedText":"Yes\n","granted":true,"key":"generalMarketingOptIn"}],"email":"example@email.com","formUrl":"<string>","locale":"US","providerId":"12345"}`,
		`{"email":"a@b.c","locale":"UNKNOWN"}`,
		`{"email":"a@b.c","locale":"uk"}`,
		`{"email":"a@b.c","locale":"ZZ"}`,
		`{"email":"a@b.c","locale":"de","consents":[{"key":"a","granted":false},{"key":"a","granted":true}]}`,
		`{"email":null,"locale":null,"consents":null}`,
		`null`, `[]`, `{"consents":[null]}`, `{"email":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request *consentRequest
		if err := protocol.Unmarshal(body, &request); err != nil {
			refused(t, err)
			return
		}
		write, err := request.write()
		if err != nil {
			if request != nil {
				refused(t, err, request.Email, request.ProviderID, request.FormURL)
			}
			return
		}
		checkWrite(t, request, &write)
	})
}

// checkWrite holds an accepted request against the contract.
func checkWrite(t *testing.T, request *consentRequest, write *consent.Write) {
	t.Helper()
	item := &write.Items[0]
	if len(write.Items) != 1 || !item.EmailFirst || item.Identifiers[0].Kind != consent.Email {
		t.Fatalf("not one person named by e-mail: %+v", write)
	}
	l, country := item.Evidence.Locale, write.Origin.Country
	if l != "UNKNOWN" && (len(l) != 2 || l != strings.ToUpper(l)) || country != consent.CountryCode(l) {
		t.Fatalf("locale %q, country %q", l, country)
	}
	if strings.ContainsFunc(item.Evidence.FormURL, unicode.IsControl) || len(item.Evidence.FormURL) > 2048 {
		t.Fatalf("formUrl %q", item.Evidence.FormURL)
	}
	if len(item.Decisions) != len(request.Consents) {
		t.Fatalf("%d decisions of %d entries", len(item.Decisions), len(request.Consents))
	}
	seen := map[string]bool{}
	for i, d := range item.Decisions {
		granted := d.State == consent.Accepted
		if !granted && d.State != consent.Declined || granted != *request.Consents[i].Granted {
			t.Fatalf("entry %d became %v", i, d.State)
		}
		if key := d.Purpose.Key; key == "" || len(key) > 128 || seen[key] {
			t.Fatalf("entry %d: purpose %q", i, key)
		}
		seen[d.Purpose.Key] = true
	}
}

func FuzzConfigRequest(f *testing.F) {
	for _, seed := range []string{
		`{"email":"example@email.com","userIp":"185.166.140.232"}`, `{}`, `null`, `{"userIp":"fe80::1%eth0"}`,
		`{"userIp":"::ffff:185.166.140.232"}`, `{"userIp":"1.2.3.4:80"}`, `{"userIp":"1.2.3"}`, `{"email":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request *configRequest
		if err := protocol.Unmarshal(body, &request); err != nil {
			refused(t, err)
			return
		}
		q, err := request.query()
		switch {
		case err != nil && request == nil:
			refused(t, err)
		case err != nil:
			refused(t, err, request.Email, request.UserIP)
		case (q.email != "") != (request.Email != nil) || q.address.IsValid() != (request.UserIP != nil):
			t.Fatalf("%s became %+v", body, q)
		case q.address.Zone() != "" || q.address.Is4In6():
			t.Fatalf("address %v", q.address)
		}
	})
}
