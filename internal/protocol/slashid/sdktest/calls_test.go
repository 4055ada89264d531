package sdktest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// server is a running consentd.
type server struct {
	url  string
	root string // the root key
}

// post sends JSON with the root key and reads the answer, which must have the status, into v.
func (s *server) post(t *testing.T, path string, headers map[string]string, body string, status int, v any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("POST %s: %s %s", path, response.Status, answer)
	}
	if err := json.Unmarshal(answer, v); err != nil {
		t.Fatalf("POST %s: %v in %s", path, err, answer)
	}
}

func (s *server) createOrganization(t *testing.T) (id string) {
	t.Helper()
	var answer struct{ ID string }
	s.post(t, "/privacy-v1/organizations", map[string]string{"x-api-key": s.root},
		`{"name":"Shop","primaryDomain":"shop.example","privacyPolicyUrl":"https://shop.example/privacy"}`,
		http.StatusCreated, &answer)
	return answer.ID
}

func (s *server) createPerson(t *testing.T, organization string) (id string) {
	t.Helper()
	var answer struct {
		Result struct {
			PersonID string `json:"person_id"`
		}
	}
	s.post(t, "/persons", s.vendorHeaders(organization),
		`{"handles":[{"type":"email_address","value":"ada@example.com"}]}`,
		http.StatusCreated, &answer)
	return answer.Result.PersonID
}

func (s *server) mintToken(t *testing.T, organization, person string) (token string) {
	t.Helper()
	var answer struct{ Result string }
	s.post(t, "/persons/"+person+"/mint-token", s.vendorHeaders(organization), `{"custom_claims":{"plan":"pro"}}`,
		http.StatusCreated, &answer)
	return answer.Result
}

func (s *server) vendorHeaders(organization string) map[string]string {
	return map[string]string{"SlashID-OrgID": organization, "SlashID-API-Key": s.root}
}
