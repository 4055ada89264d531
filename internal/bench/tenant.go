package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// tenant is an organization on a server, with a key of its own.
type tenant struct {
	server                         *child
	events, check                  string // where they are written, and where people are asked about
	path                           string // of the organization in the native API
	bearer                         []string
	concordHeaders, slashidHeaders http.Header
	nativeHeaders                  http.Header
}

const rootKey = "bench-root-key-bench-root-key-bench-root-key"

// startTenant starts a consentd on a fresh store, which settings name, and puts people on record.
func startTenant(ctx context.Context, consentd string, store []string, p *people) (*tenant, error) {
	server, err := startChild(ctx, consentd, append([]string{"CONSENTD_ROOT_KEY=" + rootKey}, store...), "serve")
	if err != nil {
		return nil, err
	}
	t, err := newTenant(server)
	if err == nil {
		err = t.seed(p)
	}
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	return t, nil
}

// newTenant makes an organization.
func newTenant(server *child) (*tenant, error) {
	var organization struct {
		ID               string `json:"id"`
		DefaultProjectID string `json:"defaultProjectId"`
	}
	err := postJSON(server.url+"/privacy-v1/organizations", http.Header{"X-Api-Key": {rootKey}},
		[]byte(`{"name":"Bench","primaryDomain":"localhost","privacyPolicyUrl":"http://localhost/privacy"}`), &organization)
	if err != nil {
		return nil, err
	}
	var key struct {
		Key string `json:"key"`
	}
	err = postJSON(server.url+"/api/v1/organizations/"+organization.ID+"/keys",
		http.Header{"Authorization": {"Bearer " + rootKey}},
		[]byte(`{"name":"bench","scopes":["consents:write","consents:read"]}`), &key)
	if err != nil {
		return nil, err
	}
	t := &tenant{server: server,
		events: server.url + "/privacy-v1/organizations/" + organization.ID +
			"/projects/" + organization.DefaultProjectID + "/consent-events",
		path: "/api/v1/organizations/" + organization.ID, bearer: []string{"Bearer " + key.Key},
		concordHeaders: http.Header{"X-Api-Key": {key.Key}, "Content-Type": {"application/json"}},
		slashidHeaders: http.Header{"Slashid-Orgid": {organization.ID}, "Slashid-Api-Key": {key.Key}}}
	t.nativeOf(organization.ID, key.Key)
	return t, nil
}

// seed puts the people that reads ask for on record.
func (t *tenant) seed(p *people) error {
	const most = 1000 // items a request
	count := max(p.count/hot, 1)
	for from := 0; from < count; from += most {
		body := itemsBody(min(most, count-from), func(b []byte, i int) []byte {
			return appendItem(b, from+i, "analytics", "accepted")
		})
		if err := postJSON(t.events, t.concordHeaders, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// batchSize is how many events a batch has.
const batchSize = 100

// writes sends one event a request.
func (t *tenant) writes(p *people) generator {
	return func(w *worker) *call { return w.post(t.events, t.concordHeaders, p.events(w.random, 1)) }
}

// batches sends batchSize events a request.
func (t *tenant) batches(p *people) generator {
	return func(w *worker) *call { return w.post(t.events, t.concordHeaders, p.events(w.random, batchSize)) }
}

// reads asks for the consent levels of one person a request.
func (t *tenant) reads(p *people) generator {
	return func(w *worker) *call {
		return w.get(t.server.url+"/persons/"+p.known(w.random)+"/consent/gdpr", t.slashidHeaders)
	}
}

// postJSON sends a request that is not measured, and decodes its answer, unless answer is nil.
func postJSON(url string, header http.Header, body []byte, answer any) error {
	return post(url, "application/json", header, body, answer)
}

// post is postJSON for a body of another kind.
func post(url, kind string, header http.Header, body []byte, answer any) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", kind)
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
