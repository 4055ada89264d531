package native

import (
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// FuzzPurpose reads any body of a purpose to be made or changed: what is refused is 400 or 422, and what is not can be
// answered.
func FuzzPurpose(f *testing.F) {
	for _, seed := range []string{
		`{"key":"letter","name":"Letter","texts":{"de":{"name":"Brief"}},"duration":null}`, `{}`, `null`, `{"texts":null}`,
		`{"texts":{"de":null,"pt-br":{"name":null,"legalText":"x"}},"name":"x","requireReaccept":true}`, `{"label":null}`,
		`{"legalBasis":"contract","required":false,"status":"test","url":null}`, `{"texts":{"de":{"name":1}}}`,
	} {
		f.Add([]byte(seed))
	}
	project := &consent.Catalog{Projects: []consent.Project{{Number: 1}}}
	now := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(err error) bool {
			if err == nil {
				return true
			}
			if status, _, _ := protocol.Status(err); status != 400 && status != 422 {
				t.Fatalf("status %d for %v", status, err)
			}
			return false
		}
		p := project.NewPurpose(1, consent.ID{1}, now, consent.NewPurpose{Key: "a", Name: "a",
			Taxonomy: consent.Taxonomy{Category: "a", Subcategory: "b", Label: "c"}})
		v := consent.PurposeView{Purpose: p}
		var request *newPurpose
		if check(protocol.UnmarshalStrict(body, &request)) && request != nil {
			if in, err := request.input(); check(err) {
				if in, err = in.Prepare(); check(err) {
					v = consent.PurposeView{Purpose: project.NewPurpose(1, consent.ID{1}, now, in),
						Wording: consent.Wording{Document: in.Document, Texts: in.Texts}}
				}
			}
		}
		var patch *purposePatch
		if check(protocol.UnmarshalStrict(body, &patch)) && patch != nil {
			if change, err := patch.change(); check(err) {
				to, wording, _, err := p.Change(&change, consent.Wording{Texts: consent.Texts{"de": {Name: "x"}}}, now)
				if check(err) {
					v = consent.PurposeView{Purpose: to, Wording: wording}
				}
			}
		}
		if err := v.CheckVersions(); err != nil {
			t.Fatal(err)
		}
		if _, err := purposeAnswer(200, &v); err != nil {
			t.Fatalf("cannot be answered: %v", err)
		}
	})
}
