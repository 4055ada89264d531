// Package clitest holds a command line's help to what a reader needs of it. It is
// for tests, and knows nothing of what the commands do.
package clitest

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// CheckHelp holds the help of every command that is shown to examples of that command, every example to what the parser
// takes, and what is indented to the width of a terminal. newParser gives a parser that has parsed nothing. commands is
// how many commands are shown, the program itself among them: a command more is said so, and its help looked at.
func CheckHelp(t *testing.T, newParser func() *kong.Kong, commands int) {
	t.Helper()
	root := newParser().Model.Node
	shown := 0
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		if n.Hidden {
			return
		}
		shown++
		text := n.Detail
		if n == root {
			text = n.Help
		}
		checkExamples(t, newParser, n, text)
		checkWidth(t, n, text)
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(root)
	if shown != commands {
		t.Errorf("%d commands, not %d", shown, commands)
	}
}

func checkExamples(t *testing.T, newParser func() *kong.Kong, n *kong.Node, text string) {
	t.Helper()
	program := newParser().Model.Name
	if !strings.Contains(strings.ReplaceAll(text, "\nExample:", "\nExamples:"), "\nExamples:\n\n\t"+program+" ") {
		t.Errorf("the help of %q does not begin its examples with %s:\n%s", n.Path(), program, text)
	}
	ofIt := false
	for _, args := range examples(program, text) {
		parsed, err := newParser().Parse(args)
		if err != nil {
			t.Errorf("the help of %q has %q: %v", n.Path(), args, err)
			continue
		}
		for of := parsed.Selected(); of != nil; of = of.Parent {
			ofIt = ofIt || of.Path() == n.Path()
		}
	}
	if !ofIt {
		t.Errorf("the help of %q has no example of it", n.Path())
	}
}

var substitution = regexp.MustCompile(`\$\([^)]*\)`)

// examples gives the arguments of each command line of a help: those that are indented and call the program.
func examples(program, help string) (all [][]string) {
	line := regexp.MustCompile(`(?m)^\t(?:[A-Z_]+=\S+ +)*` + regexp.QuoteMeta(program) + `( .*)?$`)
	for _, m := range line.FindAllStringSubmatch(strings.ReplaceAll(help, "\\\n\t", ""), -1) {
		args, _, _ := strings.Cut(m[1], " #")
		all = append(all, strings.Fields(substitution.ReplaceAllString(args, "x")))
	}
	return all
}

// checkWidth keeps what is indented, which help does not wrap, to what a terminal of 100 columns shows in one line.
func checkWidth(t *testing.T, n *kong.Node, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "\t") && utf8.RuneCountInString(line) > 97 { // the tab becomes 4 spaces
			t.Errorf("the help of %q has a line that is too long: %s", n.Path(), line)
		}
	}
}
