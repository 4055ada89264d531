package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scripts finds the shell scripts of a document, and answers what their output must hold.
var (
	scripts = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	answers = regexp.MustCompile(`(?m)^# answers (.*)$`)
)

// TestClientsDocument runs every script of docs/clients.md, in order, as somebody would who reads it.
func TestClientsDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash("../../docs/clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := serveOn(t, t.TempDir(), nil)
	env := append(os.Environ(), "BASE="+p.url)
	for variable, name := range map[string]string{"ORG": "organization", "PROJECT": "project", "KEY": "key"} {
		printed := regexp.MustCompile(`(?m)^  ` + name + ` +(\S+)$`).FindStringSubmatch(p.out.String())
		if printed == nil {
			t.Fatalf("the first start prints no %s", name)
		}
		env = append(env, variable+"="+printed[1])
	}
	found := scripts.FindAllStringSubmatch(string(text), -1)
	if len(found) < 5 {
		t.Fatalf("%d scripts are in the document", len(found))
	}
	const failing = "curl() { command curl -sS --fail-with-body \"$@\"; }\n"
	for _, script := range found {
		run := exec.Command("bash", "-eu", "-c", failing+script[1])
		run.Env = env
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%v of\n%s\nwhich answered\n%s", err, script[1], out)
		}
		for _, answer := range answers.FindAllStringSubmatch(script[1], -1) {
			if !strings.Contains(string(out), answer[1]) {
				t.Errorf("%s is not answered by\n%s\nbut\n%s", answer[1], script[1], out)
			}
		}
	}
}
