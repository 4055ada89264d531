package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file that g names, if it names one. It works on yaml's
// nodes and not on a struct, so that the table stays the only list of settings
// and every error can name its line.
func readFile(g given) (map[string]given, error) {
	if g.value == "" {
		return map[string]given{}, nil
	}
	content, err := readBounded(g.value)
	if err != nil {
		return nil, fmt.Errorf("config (%s): %w; allowed: %s", g.source, err, g.setting.Allowed)
	}
	root, err := parseYAML(content)
	if err != nil {
		return nil, fmt.Errorf("config (%s): file %s: %w; allowed: one YAML mapping of settings", g.source, g.value, err)
	}
	return settingsOf(root, g.value)
}

// parseYAML gives the mapping at the root, one without members where the file holds nothing.
func parseYAML(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return &yaml.Node{}, nil
	}
	if err != nil {
		return nil, quiet(err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return &yaml.Node{}, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: it does not begin with a setting", root.Line)
	}
	return root, nil
}

// errUnquoted is for what YAML takes for a tag, an anchor or an alias: mostly a
// key that happens to begin so, and would otherwise be dropped in silence.
var errUnquoted = errors.New("a value begins with !, & or * and is not quoted")

// plain says whether a value is free of them, with all that is in it.
func plain(node *yaml.Node) bool {
	return node.Style&yaml.TaggedStyle == 0 && node.Anchor == "" && node.Kind != yaml.AliasNode &&
		!slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return !plain(n) })
}

// quiet drops the one message of the parser that repeats the file's text, which
// may be a secret that begins with an asterisk.
func quiet(err error) error {
	if strings.Contains(err.Error(), "unknown anchor") {
		return errUnquoted
	}
	return err
}

// settingsOf reads the members of the root mapping.
func settingsOf(root *yaml.Node, path string) (map[string]given, error) {
	found := map[string]given{}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		source := fmt.Sprintf("%s line %d", path, key.Line)
		s, ok := settingNamed(key.Value)
		_, twice := found[key.Value]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%q (%s): %w", key.Value, source, errUnknown))
		case s.bootstrap:
			errs = append(errs, fmt.Errorf("%s (%s): the file cannot name another file; allowed: flag --%s and environment %s",
				s.Name, source, s.Name, s.Env))
		case twice:
			errs = append(errs, fmt.Errorf("%s (%s): given before on %s; allowed: once", s.Name, source, found[s.Name].source))
		default:
			value, err := textOf(s, node)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s (%s): %w; allowed: %s", s.Name, source, err, s.Allowed))
			}
			found[s.Name] = given{s, value, source}
		}
	}
	return found, errors.Join(errs...)
}

// textOf gives the value in the form that flags have. Scalars are taken as they
// are written, so that NO stays Norway and 1.10 stays 1.10.
func textOf(s Setting, node *yaml.Node) (string, error) {
	switch {
	case !plain(node):
		return "", errUnquoted
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", errors.New(`it has no value; write "" for an empty one`)
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind == yaml.SequenceNode && s.Type == TypeList:
		list, err := scalars(node)
		return strings.Join(list, ","), err
	case node.Kind == yaml.MappingNode && s.Type == TypeMap:
		members, err := scalars(node)
		pairs := make([]string, 0, len(members)/2)
		for i := 0; i+1 < len(members); i += 2 {
			pairs = append(pairs, members[i]+"="+members[i+1])
		}
		return strings.Join(pairs, ","), err
	}
	return "", errors.New("it is not one plain value")
}

// scalars gives the elements of a list, or the names and values of a mapping in turn. Whether a name is there twice is
// seen where it is read.
func scalars(node *yaml.Node) ([]string, error) {
	values := make([]string, 0, len(node.Content))
	for _, n := range node.Content {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Tag == "!!merge" {
			return nil, fmt.Errorf("line %d is not one plain value", n.Line)
		}
		values = append(values, n.Value)
	}
	return values, nil
}
