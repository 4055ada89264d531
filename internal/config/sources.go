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

func readFlags(flags map[string]string) (map[string]given, error) {
	found := map[string]given{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		s, ok := settingNamed(name)
		if !ok {
			errs = append(errs, fmt.Errorf("flag --%s: no such setting; %s", name, told("--", nearestName(name))))
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
			errs = append(errs, fmt.Errorf("%s (environment): both %s and %s are set; allowed: one of the two", s.Name, s.Env, s.FileEnv()))
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
			errs = append(errs, fmt.Errorf("environment %s: no such setting; %s", name, told("", nearestEnv(name))))
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
		return given{}, fmt.Errorf("%s (environment %s): %w; allowed: the path of a readable file with the value", s.Name, s.FileEnv(), withoutPath(s, err))
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

// nearestEnv names the variable that was probably meant.
func nearestEnv(name string) string {
	stem, isFile := strings.CutSuffix(name, "_FILE")
	names := make(map[string]Setting, len(table))
	for _, s := range table {
		names[s.Env] = s
		names[envPrefix+strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))] = s // by the flag, which is not always the same
	}
	found := nearest(stem, slices.Sorted(maps.Keys(names)), len(envPrefix))
	if found == "" {
		return ""
	}
	s := names[found]
	if isFile && s.FileEnv() != "" {
		return s.FileEnv()
	}
	return s.Env
}

func nearestName(name string) string {
	names := make([]string, 0, len(table))
	for _, s := range table {
		names = append(names, s.Name)
	}
	return nearest(strings.ReplaceAll(strings.ToLower(name), "_", "-"), names, 0)
}

// nearest gives the candidate with the fewest edits from name, the first of equals; empty where more than half of it would have to be
// another. All begin with the same prefix, of a length.
func nearest(name string, candidates []string, prefix int) string {
	found := slices.MinFunc(candidates, func(a, b string) int {
		return edits(name, a) - edits(name, b)
	})
	if 2*edits(name, found) > len(found)-prefix {
		return ""
	}
	return found
}

// told says which setting was meant, or where they all stand.
func told(before, nearest string) string {
	if nearest == "" {
		return "consentd config shows all"
	}
	return "the nearest is " + before + nearest
}

// edits is the Levenshtein distance, byte by byte.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
