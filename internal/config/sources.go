package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "CONSENTD_"

var errUnknown = errors.New("no such setting; consentd config shows all")

// ofClients are of commands that call a server. Who set them for these runs others too.
var ofClients = []string{"CONSENTD_URL", "CONSENTD_KEY", "CONSENTD_KEY_FILE"}

func readFlags(flags map[string]string) (map[string]given, error) {
	found := map[string]given{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		s, ok := settingNamed(name)
		if !ok {
			errs = append(errs, fmt.Errorf("flag --%s: %w", name, errUnknown))
			continue
		}
		found[name] = given{s, flags[name], "flag --" + name}
	}
	return found, errors.Join(errs...)
}

func readEnv(environ []string) (map[string]given, error) {
	vars, err := consentdVars(environ)
	errs := []error{err}
	found := map[string]given{}
	for _, s := range table {
		value, direct := vars[s.Env]
		path, byFile := vars[s.FileEnv()]
		switch {
		case direct && byFile:
			errs = append(errs, fmt.Errorf("%s (environment): both %s and %s are set; allowed: one of the two", s.Name,
				s.Env, s.FileEnv()))
		case direct:
			found[s.Name] = given{s, value, "environment " + s.Env}
		case byFile:
			g, err := readValueFile(s, path)
			errs = append(errs, err)
			if err == nil {
				found[s.Name] = g
			}
		}
	}
	return found, errors.Join(errs...)
}

// consentdVars gives the variables that are ours and not empty, and an error for
// each that no setting knows: a mistyped name must not pass in silence.
func consentdVars(environ []string) (map[string]string, error) {
	known := map[string]bool{}
	for _, s := range table {
		known[s.Env] = true
		known[s.FileEnv()] = true
	}
	for _, name := range ofClients {
		known[name] = true
	}
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && !foreign(name, value) {
			vars[name] = value // of two, the last counts, as in os/exec
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, errUnknown))
		}
		if vars[name] == "" {
			delete(vars, name)
		}
	}
	return vars, errors.Join(errs...)
}

// Kubernetes sets these in every container beside a Service named consentd or
// consentd-something; the server must start there all the same.
var kubernetesVar = regexp.MustCompile(
	`^CONSENTD_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// foreign says whether a variable with our prefix is not a setting: one of the
// tests' or one that Kubernetes makes.
func foreign(name, value string) bool {
	if strings.HasPrefix(name, envPrefix+"TEST_") || kubernetesVar.MatchString(name) {
		return true
	}
	// CONSENTD_PORT=tcp://10.0.0.7:80 is Kubernetes', CONSENTD_PORT=80 somebody's mistake.
	return strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// maxFile is the most bytes of a file that is read for settings.
const maxFile = 1 << 20

// readBounded reads a file, and refuses one that is too large to be meant.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	return content, err
}

func readValueFile(s Setting, path string) (given, error) {
	content, err := readBounded(path)
	if err != nil {
		return given{}, fmt.Errorf("%s (environment %s): %w; allowed: the path of a readable file with the value", s.Name,
			s.FileEnv(), withoutPath(s, err))
	}
	g := given{s, strings.TrimSpace(string(content)), fmt.Sprintf("environment %s, file %s", s.FileEnv(), path)}
	if g.value == "" {
		return given{}, fmt.Errorf("%s (%s): the file is empty; allowed: %s", s.Name, g.source, s.Allowed)
	}
	return g, nil
}

// withoutPath takes the path out of a secret's error: who puts the secret itself
// into the variable must not find it in the log.
func withoutPath(s Setting, err error) error {
	var perr *os.PathError
	if s.Secret && errors.As(err, &perr) {
		return fmt.Errorf("cannot read the file: %w", perr.Err)
	}
	return err
}

func settingNamed(name string) (Setting, bool) {
	i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return table[i], true
}
