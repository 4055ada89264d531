package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"zombiezen.com/go/sqlite"
)

// version is set by a release build: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

type versionCmd struct{}

// Help implements kong.HelpProvider.
func (versionCmd) Help() string {
	return `Prints the version, the commit it was built from where that is known, the Go version and the SQLite version.

Example:

	consentd version`
}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Printf("consentd %s\n", version)
	if commit := commitOf(debug.ReadBuildInfo()); commit != "" {
		fmt.Printf("commit   %s\n", commit)
	}
	fmt.Printf("go       %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Printf("sqlite   %s\n", sqlite.Version)
	return nil
}

// commitOf gives the commit of a build, with a mark where the tree had changes; empty where it is not known.
func commitOf(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return ""
	}
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " (changed)"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + changed
}
