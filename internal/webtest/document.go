package webtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/consentd/consentd/internal/openapi"
)

// asDocumented holds an exchange against the OpenAPI document: the answer always, the request where it was taken. What
// the document has no call for must have been refused, in the shape of the errors of whoever owns the path.
func asDocumented(req *request, res *Response) error {
	documents, err := loaded()
	if err != nil {
		return err
	}
	target, err := url.ParseRequestURI(req.target)
	if err != nil {
		return nil // it reached nobody
	}
	route := documents.requests.find(req.method, target)
	if route == nil {
		if res.Status < 400 && req.method != http.MethodHead {
			return fmt.Errorf("the OpenAPI document has no call %s %s", req.method, target.Path)
		}
		return undocumented(documents.answers.refusal(target.Path).answer(req, target, res), res)
	}
	if res.Status < 400 && !slices.Contains(beyond, req.method+" "+req.target) {
		if err := route.request(req, target); err != nil {
			return fmt.Errorf("the request is not as the OpenAPI document has it: %w", err)
		}
	}
	return undocumented(documents.answers.find(req.method, target).answer(req, target, res), res)
}

func undocumented(err error, res *Response) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the answer is not as the OpenAPI document has it: %w\nanswer:\n%s", err, indent(res.String()))
}

// beyond are requests that are taken though no client of the document would send them.
var beyond = []string{
	"GET /v1/subjects?from=99999999999999999999&max=99999999999999999999", // too large for any integer type
}

// documents are the document as it is, and one whose objects have the members that it lists and no others: an answer
// that says more than is documented is a mistake of ours, but clients must bear it.
type documents struct{ requests, answers document }

// document finds calls by their paths.
type document struct {
	spec  *openapi3.T
	paths []string
}

var loaded = sync.OnceValues(func() (*documents, error) {
	raw, err := openapi.Document()
	if err != nil {
		return nil, err
	}
	var whole any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	closeObjects(whole)
	closed, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(
		"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"))
	for _, kind := range []string{"text/html", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet",
		"application/zip"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	d := &documents{}
	if d.requests, err = load31(raw); err != nil {
		return nil, err
	}
	d.answers, err = load31(closed)
	return d, err
})

func load31(raw []byte) (document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return document{}, fmt.Errorf("load the OpenAPI document: %w", err)
	}
	if err := spec.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return document{}, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	return document{spec: spec, paths: spec.Paths.InMatchingOrder()}, nil
}

// closeObjects lets no object of a JSON schema have further members, where nothing is said of them.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, members := node["properties"].(map[string]any)
		if _, said := node["additionalProperties"]; members && !said {
			node["additionalProperties"] = false
		}
		for _, below := range node {
			closeObjects(below)
		}
	case []any:
		for _, below := range node {
			closeObjects(below)
		}
	}
}

// call is a call of the document with the parts of a path.
type call struct {
	routers.Route
	parts map[string]string
}

// find gives the call of a method and a path; nil where there is none.
func (d document) find(method string, target *url.URL) *call {
	for _, pattern := range d.paths {
		parts, ok := matchPath(pattern, target.EscapedPath())
		item := d.spec.Paths.Value(pattern)
		if !ok {
			continue
		}
		if operation := operationOf(item, method); operation != nil {
			route := routers.Route{Spec: d.spec, Path: pattern, PathItem: item, Method: method, Operation: operation}
			return &call{route, parts}
		}
	}
	return nil
}

// failures are the errors of the document by the first segment of a path; of no other path is anything known.
var failures = map[string]string{"api": "Problem", "privacy-v1": "ConcordFailure", "consent-hub": "HubFailure",
	"v1": "GridFailure", "persons": "SlashFailure", "consent": "SlashFailure", ".well-known": "SlashFailure"}

// refusal is a call for a path, or a method of one, that there is not: it can only fail.
func (d document) refusal(path string) *call {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, known := failures[root]
	if !known {
		name = "PlainError"
	}
	operation := &openapi3.Operation{Responses: openapi3.NewResponsesWithCapacity(1)}
	operation.Responses.Set("default", d.spec.Components.Responses[name])
	return &call{Route: routers.Route{Spec: d.spec, Operation: operation}}
}

// matchPath gives the parts of a path that stand for the names in a pattern.
func matchPath(pattern, path string) (map[string]string, bool) {
	names, values := strings.Split(pattern, "/"), strings.Split(path, "/")
	if last := len(names) - 1; names[last] == "{tile}" && len(values) > len(names) { // which has slashes
		values = append(values[:last], strings.Join(values[last:], "/"))
	}
	if len(names) != len(values) {
		return nil, false
	}
	parts := map[string]string{}
	for i, name := range names {
		value, err := url.PathUnescape(values[i])
		switch {
		case err != nil || value == "":
			if i > 0 {
				return nil, false
			}
		case strings.HasPrefix(name, "{"):
			parts[strings.Trim(name, "{}")] = value
		case name != value:
			return nil, false
		}
	}
	return parts, true
}

// input is what the library validates of a request.
func (c *call) input(req *request, target *url.URL) *openapi3filter.RequestValidationInput {
	r := &http.Request{Method: req.method, URL: target, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(req.body)), ContentLength: int64(len(req.body))}
	for _, h := range req.headers {
		r.Header.Add(h.name, h.value)
	}
	if req.body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json") // as which the server takes it
	}
	return &openapi3filter.RequestValidationInput{Request: r, PathParams: c.parts, Route: &c.Route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			SkipSettingDefaults: true, IncludeResponseStatus: true}}
}

func (c *call) request(req *request, target *url.URL) error {
	return openapi3filter.ValidateRequest(context.Background(), c.input(req, target))
}

// answer holds an answer against the call; one that the document gives no body must have none.
func (c *call) answer(req *request, target *url.URL, res *Response) error {
	input := c.input(req, target)
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: res.Status,
		Header: res.Header, Body: io.NopCloser(bytes.NewReader(res.Body)), Options: input.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), answer); err != nil {
		return err
	}
	documented := c.Operation.Responses.Status(res.Status)
	if documented == nil {
		documented = c.Operation.Responses.Default()
	}
	if len(documented.Value.Content) == 0 && len(res.Body) > 0 {
		return errors.New("it has a body")
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if len(res.Body) > 0 && !slices.Contains(kindsOf(documented.Value), kind) {
		return fmt.Errorf("its Content-Type is %q", kind)
	}
	return nil
}

func kindsOf(r *openapi3.Response) (kinds []string) {
	for kind := range r.Content {
		kinds = append(kinds, kind)
	}
	return kinds
}

// operationOf gives the operation of a method; nil where there is none, as for methods that OpenAPI does not know.
func operationOf(item *openapi3.PathItem, method string) *openapi3.Operation {
	return item.Operations()[method]
}
