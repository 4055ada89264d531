package openapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/consentd/consentd/internal/openapi"
)

// whole gives the document as it is served.
func whole(t *testing.T) map[string]any {
	t.Helper()
	raw, err := openapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// TestDocumentIsValid: it is OpenAPI 3.1, and every example is what its schema describes.
func TestDocumentIsValid(t *testing.T) {
	raw, err := openapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}

// walk visits every object below a node, with its place.
func walk(node any, at string, visit func(at string, object map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(at, node)
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if name != "example" && name != "default" {
				walk(node[name], at+"/"+name, visit)
			}
		}
	case []any:
		for i, below := range node {
			walk(below, fmt.Sprint(at, "/", i), visit)
		}
	}
}

var (
	schemaAt = regexp.MustCompile(`(^/components/schemas/[^/]+|/schema|/properties/[^/]+|/items)$`)
	listAt   = regexp.MustCompile(`/(required|enum|properties|schemas|parameters|responses)$`)
)

// TestEverythingIsExplained: each schema, parameter, header, answer and call says what it is; a parameter says also
// what it is bounded by, and a body has an example, which loading the document validates.
func TestEverythingIsExplained(t *testing.T) {
	ids := map[string]string{}
	walk(whole(t), "", func(at string, o map[string]any) {
		says := func(name string) bool { text, _ := o[name].(string); return strings.TrimSpace(text) != "" }
		_, refers := o["$ref"]
		switch {
		case refers:
		case o["responses"] != nil && strings.HasPrefix(at, "/paths/"):
			id, _ := o["operationId"].(string)
			if ids[id] != "" || id == "" {
				t.Errorf("%s: operationId %q is no name of its own, see %s", at, id, ids[id])
			}
			ids[id] = at
			if !says("summary") || !says("description") || o["tags"] == nil || o["security"] == nil {
				t.Errorf("%s: needs a summary, a description, a tag and who may call it", at)
			}
			if responses, _ := o["responses"].(map[string]any); responses["default"] == nil {
				t.Errorf("%s: does not say how other errors look", at)
			}
		case o["in"] != nil && o["name"] != nil && o["schema"] != nil:
			if !says("description") || o["example"] == nil {
				t.Errorf("%s: needs a description and an example", at)
			}
		case schemaAt.MatchString(at) && !listAt.MatchString(at):
			if !says("description") {
				t.Errorf("%s: needs a description", at)
			}
			if words, _ := o["enum"].([]any); slices.Contains(words, nil) {
				t.Errorf("%s: say null beside the enum, by oneOf, see findings/openapi-null-in-enum.sh", at)
			}
		case strings.Contains(at, "/content/") && o["schema"] != nil:
			if o["example"] == nil {
				t.Errorf("%s: needs an example", at)
			}
		}
	})
}

// TestParametersAreBounded: whoever generates a client or a fuzzer from the document knows what a parameter may be.
func TestParametersAreBounded(t *testing.T) {
	document := whole(t)
	walk(document, "", func(at string, o map[string]any) {
		schema, ok := o["schema"].(map[string]any)
		if ok && o["in"] != nil && o["name"] != nil && !bounded(document, schema) {
			t.Errorf("%s: the parameter %v has no bounds", at, o["name"])
		}
	})
}

func bounded(document, schema map[string]any) bool {
	if ref, ok := schema["$ref"].(string); ok {
		var node any = document
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			node = node.(map[string]any)[name]
		}
		return bounded(document, node.(map[string]any))
	}
	switch schema["type"] {
	case "boolean":
		return true
	case "integer":
		return schema["minimum"] != nil
	case "array":
		items, _ := schema["items"].(map[string]any)
		return schema["maxItems"] != nil && bounded(document, items)
	}
	return schema["maxLength"] != nil || schema["enum"] != nil
}

func TestNothingIsSaidTwice(t *testing.T) {
	const frame = "paths: {/a: {get: {}}}\ncomponents: {schemas: {A: {type: string}}}\n"
	const twice, broken = " is in another file too", "yaml: line 1: did not find expected node content"
	for part, want := range map[string]string{
		"paths: {/b: {}}\ncomponents: {schemas: {B: {}}}": "",
		"paths: {/a: {post: {}}}":                         "openapi: part.yaml: /paths//a" + twice,
		"components: {schemas: {A: {}}}":                  "openapi: part.yaml: /components/schemas/A" + twice,
		"{":                                               "openapi: part.yaml: " + broken,
		"paths: 1":                                        "openapi: part.yaml: /paths" + twice,
	} {
		_, err := openapi.DocumentOf(fstest.MapFS{"openapi.yaml": {Data: []byte(frame)}, "part.yaml": {Data: []byte(part)}})
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s: got %q, want %q", part, got, want)
		}
	}
}
