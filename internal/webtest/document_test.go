package webtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAsDocumented proves that what is not as the document has it is told, and what is so is not.
func TestAsDocumented(t *testing.T) {
	const keys, key = "/api/v1/organizations/0199f4c8-7a00-7000-8000-000000000001/keys",
		`"id":"0199f4c8-7a00-7000-8000-000000000002","name":"n","scopes":[],"createdAt":"2026-01-02T15:04:05.000000Z"`
	const concord = `{"statusCode":404,"error":"Not Found","message":"no such path"}`
	for _, c := range []struct {
		method, target, body string
		status               int
		kind, answer, want   string
	}{
		{"POST", keys, `{"name":"n","scopes":[]}`, 201, "application/json", `{` + key + `}`, "minItems"},
		{"POST", keys, `{"name":"n","scopes":["consents:read"]}`, 201, "application/json", `{` + key + `}`, ""},
		{"POST", keys, `{"name":"n","scopes":["consents:read"],"x":1}`, 201, "application/json", `{` + key + `}`, "x"},
		{"POST", keys, `{"x":1}`, 422, "application/problem+json", `{"type":"/docs/errors/unprocessable",
			"title":"t","status":422,"detail":"d","instance":"urn:request:1"}`, ""},
		{"POST", keys, `{"x":1}`, 422, "application/json", `{}`, "Content-Type"},
		{"GET", keys, "", 200, "application/json", `{"items":[{` + key + `}]}`, ""},
		{"GET", keys, "", 200, "application/json", `{"items":[{` + key + `,"secret":"s"}]}`, "secret"},
		{"GET", keys, "", 200, "text/plain", `{"items":[]}`, "Content-Type"},
		{"GET", keys + "?limit=0", "", 200, "application/json", `{"items":[]}`, "limit"},
		{"GET", keys, "", 200, "application/json", `{"items":[{"id":"1"}]}`, "uuid"},
		{"DELETE", keys + "/0199f4c8-7a00-7000-8000-000000000002", "", 204, "", "", ""},
		{"DELETE", keys + "/0199f4c8-7a00-7000-8000-000000000002", "", 204, "", "gone", "body"},
		{"GET", "/privacy-v1/none", "", 200, "application/json", `{}`, "no call"},
		{"GET", "/privacy-v1/none", "", 404, "application/json", concord, ""},
		{"GET", "/privacy-v1/none", "", 404, "text/plain", "404", "Content-Type"},
		{"GET", "/v1/none", "", 404, "application/json", concord, "error"},
		{"GET", "/none", "", 404, "text/plain", "404 page not found\n", ""},
	} {
		res := &Response{Status: c.status, Header: http.Header{}, Body: []byte(c.answer)}
		if c.kind != "" {
			res.Header.Set("Content-Type", c.kind)
		}
		err := asDocumented(&request{method: c.method, target: c.target, body: c.body}, res)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s %s %s: %d %s: got %v, want %q", c.method, c.target, c.body, c.status, c.answer, err, c.want)
		}
	}
}
