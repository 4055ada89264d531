package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// people are those whose consent is recorded.
type people struct{ count int }

func newPeople(count int) *people { return &people{max(count, 1)} }

// known names a person of whom an event is likely to be on record.
func (p *people) known(r *rand.Rand) string {
	return "user-" + strconv.Itoa(r.IntN(max(p.count/hot, 1)))
}

// hot is how much smaller the part of the people is that every tenth event is about.
const hot = 100

func (p *people) item(b []byte, r *rand.Rand) []byte {
	n := r.IntN(p.count)
	if r.IntN(10) == 0 {
		n %= max(p.count/hot, 1)
	}
	b = append(b, `{"userId":"user-`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, `","category":"privacy_setting","subcategory":"`...)
	b = append(b, [...]string{"analytics", "marketing", "functional"}[r.IntN(3)]...)
	b = append(b, `","consentState":"`...)
	b = append(b, [...]string{"accepted", "declined"}[r.IntN(2)]...)
	return append(b, `","consentAction":"user_click"}`...)
}

func (p *people) event(r *rand.Rand) []byte { return p.events(r, 1) }

func (p *people) events(r *rand.Rand, n int) []byte {
	b := append(make([]byte, 0, 160*n), `{"items":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.item(b, r)
	}
	return append(b, "]}"...)
}

// site is an organization on the server, and how it is called.
type site struct {
	server                       *child
	base, events                 string
	concordHeaders, slashHeaders http.Header
}

func (s *site) levels(person string) string { return s.base + "/persons/" + person + "/consent/gdpr" }

// furnish makes an organization, and puts those on record whom reads ask for.
func furnish(base, rootKey string) (*site, error) {
	var organization struct {
		ID               string `json:"id"`
		DefaultProjectID string `json:"defaultProjectId"`
	}
	root := http.Header{"X-Api-Key": {rootKey}, "Content-Type": {"application/json"}}
	err := ask(base+"/privacy-v1/organizations", root,
		`{"name":"Bench","primaryDomain":"localhost","privacyPolicyUrl":"http://localhost/privacy"}`, &organization)
	if err != nil {
		return nil, err
	}
	var key struct {
		Key string `json:"key"`
	}
	err = ask(base+"/api/v1/organizations/"+organization.ID+"/keys", http.Header{"Authorization": {"Bearer " + rootKey},
		"Content-Type": {"application/json"}}, `{"name":"bench","scopes":["consents:write","consents:read"]}`, &key)
	if err != nil {
		return nil, err
	}
	return &site{base: base,
		events:         base + "/privacy-v1/organizations/" + organization.ID + "/projects/" + organization.DefaultProjectID + "/consent-events",
		concordHeaders: http.Header{"X-Api-Key": {key.Key}, "Content-Type": {"application/json"}},
		slashHeaders:   http.Header{"Slashid-Orgid": {organization.ID}, "Slashid-Api-Key": {key.Key}}}, nil
}

// welcome puts people on record, so that reads of them are not of nobody.
func (s *site) welcome(p *people) error {
	count := max(p.count/hot, 1)
	for from := 0; from < count; from += 1000 {
		b := []byte(`{"items":[`)
		for n := from; n < min(from+1000, count); n++ {
			if n > from {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"userId":"user-%d","category":"privacy_setting","subcategory":"analytics","consentState":"accepted","consentAction":"user_click"}`, n)
		}
		if err := ask(s.events, s.concordHeaders, string(append(b, "]}"...)), nil); err != nil {
			return err
		}
	}
	return nil
}

func ask(url string, header http.Header, body string, answer any) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s: %s", res.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
