package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

func newParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := kong.New(newCommands(), kong.Name("consentd"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// helpOf is what the help of a command says beside its flags.
func helpOf(n *kong.Node) string {
	if n.Parent == nil {
		return description
	}
	return n.Detail
}

// TestHelpHasExamples holds every command's help to an example of that command, and every example to what the parser
// takes.
func TestHelpHasExamples(t *testing.T) {
	visited := 0
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		visited++
		shown := false
		text := helpOf(n)
		if !strings.Contains(text, "\nExamples:\n\n\tconsentd ") && !strings.Contains(text, "\nExample:\n\n\tconsentd ") {
			t.Errorf("the help of %q does not begin its examples with consentd:\n%s", n.Path(), text)
		}
		for _, args := range examples(text) {
			parsed, err := newParser(t).Parse(args)
			if err != nil {
				t.Errorf("the help of %q has %q: %v", n.Path(), args, err)
				continue
			}
			for of := parsed.Selected(); of != nil; of = of.Parent {
				shown = shown || of.Path() == n.Path()
			}
		}
		if !shown {
			t.Errorf("the help of %q has no example of it", n.Path())
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(newParser(t).Model.Node)
	if visited != 15 { // a command more: say so here, and see that its help is what a newcomer needs
		t.Errorf("%d commands", visited)
	}
}

var (
	exampleLine  = regexp.MustCompile(`(?m)^\t(?:[A-Z_]+=\S+ +)*consentd( .*)?$`)
	substitution = regexp.MustCompile(`\$\([^)]*\)`)
)

// examples gives the arguments of each command line of a help: those that are indented and call consentd.
func examples(help string) (all [][]string) {
	help = strings.ReplaceAll(help, "\\\n\t", "")
	for _, m := range exampleLine.FindAllStringSubmatch(help, -1) {
		line, _, _ := strings.Cut(m[1], " #")
		all = append(all, strings.Fields(substitution.ReplaceAllString(line, "x")))
	}
	return all
}

// TestHelpFits keeps what is indented, which help does not wrap, to what a terminal of 100 columns shows in one line.
func TestHelpFits(t *testing.T) {
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		for line := range strings.Lines(helpOf(n)) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "\t") && utf8.RuneCountInString(line) > 97 { // the tab becomes 4 spaces
				t.Errorf("the help of %q has a line that is too long: %s", n.Path(), line)
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(newParser(t).Model.Node)
}
