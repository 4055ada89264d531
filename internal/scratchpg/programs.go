package scratchpg

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// oldest is the oldest PostgreSQL that will do.
const oldest = 15

// packaged are the folders, as patterns, where packages keep PostgreSQL's programs
// off PATH. scripts/need.sh has the same list.
var packaged = []string{
	"/usr/lib/postgresql/*/bin",          // Debian and its kin
	"/usr/pgsql-*/bin",                   // PostgreSQL's own packages for Fedora and its kin
	"/usr/libexec/postgresql*",           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin", // macOS
	"/usr/local/opt/postgresql@*/bin",    // macOS on Intel
}

// programs are what a folder must hold, so that all are of one version. Debian's
// psql on PATH is a slow wrapper besides.
var programs = []string{"initdb", "postgres", "pg_ctl", "pg_basebackup", "psql"}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// findPrograms gives the folder of the PostgreSQL on PATH or else of the newest.
func findPrograms(places []string) (string, error) {
	found, newest := "", 0
	if folder, ok := folderOnPath(); ok && version(folder) >= oldest {
		return folder, nil
	}
	for _, place := range places {
		folders, err := filepath.Glob(place)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL in %s: %w", place, err)
		}
		for _, folder := range folders {
			if v := version(folder); v > newest {
				found, newest = folder, v
			}
		}
	}
	if newest < oldest {
		return "", fmt.Errorf("PostgreSQL %d or newer (%s) is neither on PATH nor in %s; `make test` installs it, "+
			"and so does `scripts/need.sh postgres`", oldest, strings.Join(programs, ", "), strings.Join(places, ", "))
	}
	return found, nil
}

// folderOnPath follows links: what is on PATH is often one program linked to where
// all of them are.
func folderOnPath() (string, bool) {
	program, err := exec.LookPath("postgres")
	if err != nil {
		return "", false
	}
	program, err = filepath.EvalSymlinks(program)
	return filepath.Dir(program), err == nil
}

// version is 0 for a folder that does not hold all programs.
func version(folder string) int {
	for _, program := range programs {
		if _, err := exec.LookPath(filepath.Join(folder, program)); err != nil {
			return 0
		}
	}
	out, err := exec.Command(filepath.Join(folder, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	line := versionLine.FindSubmatch(out)
	if line == nil {
		return 0
	}
	v, err := strconv.Atoi(string(line[1]))
	if err != nil {
		return 0
	}
	return v
}
