// Package openapi holds the OpenAPI document of all calls that a consentd answers, written by hand, and serves it with
// the pages that explain it. It knows no call's code: tests hold the two to each other.
package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"go.yaml.in/yaml/v3"
)

// frame is the file that the others are put into.
const frame = "openapi.yaml"

//go:embed *.yaml
var files embed.FS

// Document makes the whole document as JSON from its files, each of which adds paths and components to the frame.
// Errors: a file is no YAML, or says what another one says.
func Document() ([]byte, error) { return documentOf(files) }

func documentOf(files fs.ReadFileFS) ([]byte, error) {
	whole, err := read(files, frame)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == frame {
			continue
		}
		part, err := read(files, name)
		if err != nil {
			return nil, err
		}
		if err := add(whole, part, ""); err != nil {
			return nil, fmt.Errorf("openapi: %s: %w", name, err)
		}
	}
	return json.Marshal(whole)
}

func read(files fs.ReadFileFS, name string) (map[string]any, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("openapi: %s: %w", name, err)
	}
	return object, nil
}

// sections are the objects of the document that several files add to.
var sections = map[string]bool{"": true, "/paths": true, "/components": true, "/components/parameters": true,
	"/components/headers": true, "/components/requestBodies": true, "/components/responses": true,
	"/components/schemas": true, "/components/securitySchemes": true}

// add adds what a part says to the whole; nothing may be said twice.
func add(whole, part map[string]any, at string) error {
	for name, value := range part {
		here := at + "/" + name
		known, there := whole[name]
		if !there {
			whole[name] = value
			continue
		}
		into, ok1 := known.(map[string]any)
		from, ok2 := value.(map[string]any)
		if !sections[here] || !ok1 || !ok2 {
			return fmt.Errorf("%s is in another file too", here)
		}
		if err := add(into, from, here); err != nil {
			return err
		}
	}
	return nil
}
