package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/consentd/consentd/internal/openapi"
)

// documented gives the operations of the OpenAPI document by "METHOD path".
var documented = sync.OnceValues(func() (map[string]*openapi3.Operation, error) {
	raw, err := openapi.Document()
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	all := map[string]*openapi3.Operation{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			operation.Parameters = append(slices.Clone(item.Parameters), operation.Parameters...)
			all[method+" "+path] = operation
		}
	}
	return all, nil
})

// operation gives what the document says of a call.
func (c *call) operation(t testing.TB) *openapi3.Operation {
	t.Helper()
	all, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	operation := all[c.route.Method+" "+documentedPath(c.route.Pattern)]
	if operation == nil {
		t.Fatalf("%s %s is not in the OpenAPI document", c.route.Method, c.route.Pattern)
	}
	return operation
}

// place is where something of a tenant's can stand in a call.
type place struct {
	in     string   // path, query, header or body
	name   string   // of the parameter or member
	at     []string // in a body, the way to the member; "+" is a further item like the first
	holds  string   // the variable of the harness that stands there, or the header's name
	schema *openapi3.Schema
}

func (p *place) String() string {
	if p.in == "body" {
		return "body /" + strings.Join(p.at, "/")
	}
	return p.in + " " + p.name
}

// holders say which variable of the harness stands where the document has a parameter or member of that name, in one
// protocol or in all.
var holders = map[string]string{
	"organizationId": "org", "projectId": "project", "projectIds": "project", "project": "project", "keyId": "doomedkey",
	"jobId":  "doomedjob",
	"userId": "person", "person_id": "person", "email": "email", "phone": "phone", "phoneNumber": "phone",
	"projectUserId": "person", "providerId": "person", "anonymousId": "device", "concordId": "device",
	"consentType": "type", "submitter": "keyid", "consentgrid subjectId": "subject", "consentgrid id": "subject",
	"slashid value": "email", "native value": "email", "subjectId": "subjectid", "native subject": "subjectid",
	"eventId": "eventid", "event": "eventid", "native purpose": "purpose", "native purposes": "purpose",
	"native key": "purpose", "importId": "import",
	"Idempotency-Key": "Idempotency-Key", "If-Match": "If-Match", "cursor": "cursor",
	"webhookId": "webhookid", "deliveryId": "deliveryid",
}

// nobodys are the parameters and members whose values are nobody's: words, dates, texts and what is echoed, with all
// that is in them. Numbers, booleans and what is one of a list need no row.
var nobodys = strings.Fields(`
	action at attributes category consent_levels consentDate consentDuration consents contactEmails country coupons
	custom_claims data description displayedText document domain domains duration endDate evidence expirationDate
	fingerprint formUrl from geography groups If-None-Match ip kind label legalText locale metadata name order organizationSlug
	Prefer primaryDomain privacyPolicyUrl protocol reason recordedFrom recordedTo region regionTemplate source startDate
	state status subcategory subscription termsOfServiceUrl text texts tile to type url userIp
	username version`)

// places lists where something of another tenant's can stand in a call, as the document says. What it has no row for
// in holders or nobodys fails.
func (c *call) places(t testing.TB) (all []place) {
	t.Helper()
	operation := c.operation(t)
	var found []place
	for _, p := range operation.Parameters {
		found = append(found, place{in: p.Value.In, name: p.Value.Name, schema: p.Value.Schema.Value})
	}
	if operation.RequestBody != nil {
		if content := operation.RequestBody.Value.Content["application/json"]; content != nil {
			found = append(found, membersOf(content.Schema, "", nil)...)
		}
	}
	for _, p := range found {
		p.holds = cmp.Or(holders[c.protocol+" "+p.name], holders[p.name])
		switch {
		case p.holds != "":
			all = append(all, p)
		case !p.closed() && !slices.ContainsFunc(append(p.at, p.name), isNobodys):
			t.Errorf("%s: what stands in %v? add %q to holders or nobodys in places_test.go", c.name, &p, p.name)
		}
	}
	return all
}

func isNobodys(name string) bool { return slices.Contains(nobodys, name) }

// closed tells whether the schema takes no value that could name something.
func (p *place) closed() bool {
	s := p.schema
	if s.Type.Is("array") && s.Items != nil {
		s = s.Items.Value
	}
	nothing := s.MaxProps != nil && *s.MaxProps == 0
	return nothing || len(s.Enum) > 0 || s.Format == "date-time" || s.Const != nil ||
		s.Type != nil && !s.Type.Includes("string") && !s.Type.Includes("object") && !s.Type.Includes("array")
}

// membersOf lists the members of a body that are no objects themselves.
func membersOf(ref *openapi3.SchemaRef, name string, at []string) (found []place) {
	s := ref.Value
	if len(at) > 8 {
		return nil
	}
	var alternatives openapi3.SchemaRefs
	alternatives = append(append(append(alternatives, s.AllOf...), s.OneOf...), s.AnyOf...)
	for _, one := range alternatives {
		found = append(found, membersOf(one, name, at)...)
	}
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		found = append(found, membersOf(s.Properties[member], member, append(slices.Clone(at), member))...)
	}
	switch {
	case s.Items != nil && s.Items.Value.Type.Is("string"):
		found = append(found, place{in: "body", name: name, at: append(slices.Clone(at), "0"), schema: s.Items.Value})
	case s.Items != nil:
		for _, item := range []string{"0", "+"} {
			found = append(found, membersOf(s.Items, name, append(slices.Clone(at), item))...)
		}
	case len(s.Properties) == 0 && len(alternatives) == 0:
		found = append(found, place{in: "body", name: name, at: at, schema: s})
	}
	return found
}

// instead are members that may not stand beside another one.
var instead = map[string][]string{"subjectId": {"identifiers"}, "identifiers": {"subjectId", "subjects"},
	"subjects": {"identifiers"}}

// with gives the call with the template {{there}} in a place.
func (c *call) with(t testing.TB, p place) call {
	t.Helper()
	const there = "{{there}}"
	out := *c
	target, query, _ := strings.Cut(c.target, "?")
	switch p.in {
	case "path":
		segments := strings.Split(target, "/")
		for i, segment := range strings.Split(c.route.Pattern, "/") {
			if segment == "{"+p.name+"}" {
				segments[i] = there
			}
		}
		out.target = strings.Join(segments, "/")
		if query != "" {
			out.target += "?" + query
		}
	case "query":
		parameters := slices.DeleteFunc(strings.FieldsFunc(query, func(r rune) bool { return r == '&' }),
			func(one string) bool { return strings.HasPrefix(one, p.name+"=") })
		out.target = target + "?" + strings.Join(append(parameters, p.name+"="+there), "&")
	case "header":
		out.headers = maps.Clone(c.headers)
		out.headers[p.name] = there
	case "body":
		var body any
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			t.Fatalf("%s: the sample's body: %v", c.name, err)
		}
		changed, err := json.Marshal(put(body, p.at, there))
		if err != nil {
			t.Fatal(err)
		}
		out.body = string(changed)
	}
	return out
}

// put gives a JSON value with another one at a place in it.
func put(in any, at []string, value any) any {
	if len(at) == 0 {
		return value
	}
	if i, err := strconv.Atoi(at[0]); err == nil || at[0] == "+" {
		list, _ := in.([]any)
		switch {
		case at[0] == "+" && len(list) > 0:
			i = len(list)
			list = append(list, clone(list[0]))
		case i >= len(list):
			list = append(list, nil)
		}
		list[i] = put(list[i], at[1:], value)
		return list
	}
	object, _ := in.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	for _, other := range instead[at[0]] {
		delete(object, other)
	}
	object[at[0]] = put(object[at[0]], at[1:], value)
	return object
}

func clone(value any) (out any) {
	raw, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("a JSON value that is none: %v", err))
	}
	return out
}

// escaped is a value as it stands in a place.
func (p *place) escaped(value string) string {
	if p.in == "query" {
		return url.QueryEscape(value)
	}
	return value
}
