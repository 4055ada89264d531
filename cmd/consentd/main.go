// Command consentd is the consent server and its tools. It knows the command
// line and how the parts are wired together; what the parts do, it doesn't know.
package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// commands is the table of subcommands, one file each.
type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Key     keyCmd     `cmd:"" help:"Make, list and revoke API keys."`
	Keys    keysCmd    `cmd:"" help:"Rotate and retire the keys of the key file."`
	Check   checkCmd   `cmd:"" help:"Tell whether a person's consent is in force, and why."`
	Verify  verifyCmd  `cmd:"" help:"Verify a bundle of evidence, without a server or a network."`
	Config  configCmd  `cmd:"" help:"Print the effective configuration and where each value came from."`
	Citus   citusCmd   `cmd:"" help:"Prepare a database for many nodes."`
	Doctor  doctorCmd  `cmd:"" help:"Check the data folder and this machine, and say what to do."`
	Backup  backupCmd  `cmd:"" help:"Copy the database of the data folder, beside a running server."`
	Jobs    jobsCmd    `cmd:"" help:"Show what servers have to do at a time, and what failed for good."`
	Ledger  ledgerCmd  `cmd:"" help:"Prove that what is on record is what was put on record."`
	Export  exportCmd  `cmd:"" help:"Write an organization's decisions, consents and purposes into a folder."`
	Import  importCmd  `cmd:"" help:"Bring the records of another tool into a server."`
	Move    moveCmd    `cmd:"" name:"migrate-store" help:"Move everything from a data folder into a PostgreSQL database."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func newCommands() *commands {
	c := &commands{}
	c.Serve.Settings = newSettings()
	c.Config.Settings = newSettings()
	c.Doctor.Settings = newSettings()
	c.Backup.Settings = newSettings("config", "data")
	c.Check.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Key.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Jobs.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Ledger.Verify.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Ledger.Export.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Ledger.Recover.Settings = newSettings("config", "data", "database", "admin-database", "kek-file", "journals")
	c.Keys.Settings = newSettings("config", "data", "database", "admin-database", "kek-file")
	c.Move.Settings = newSettings("config")
	c.Citus.Settings = newSettings("config", "database", "admin-database")
	return c
}

// Exit codes. Scripts and supervisors may rely on them.
const (
	exitFailed = 1 // it was tried and failed; requests were cut off; doctor found something
	exitUsage  = 2 // the command line or the configuration is wrong
	exitLocked = 3 // another server runs on the data folder
)

const description = `Keeps proof of consent: four vendors' consent protocols over one append-only ledger.

Begin with the server. Its first start prints the root key, a first organization with a key of its own, and a call of
each protocol to paste into another terminal. The other commands work beside it. Every command has --help, with
examples.

Examples:

	consentd serve                     # on 127.0.0.1:8080, data in ./data
	consentd key create --name shop --scope consents:write,consents:read
	consentd key list
	consentd check --email ada@shop.example --purpose marketing    # may we?
	consentd verify evidence.zip       # is this what was recorded?
	consentd doctor                    # is all well with it, and what to do where not
	consentd ledger verify             # is what is on record what was put there?
	consentd backup --to consentd.db   # a copy of the data
	consentd serve --listen :8080 --data /var/lib/consentd

Every setting is a flag, an environment variable CONSENTD_X (or CONSENTD_X_FILE, a file with the value) or a
line of the YAML file that --config names; the first of these that is given wins.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 another server runs on the data folder.`

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

// run parses the command line, runs the command and gives the exit code.
func run(args []string) int {
	parser, err := kong.New(newCommands(), kong.Name("consentd"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}))
	if err != nil {
		panic(err) // the table itself is wrong
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return complain(&exitError{exitUsage, fmt.Errorf("%w\n%s --help tells what there is", plainly(err), commandOf(err))})
	}
	if err := parsed.Run(); err != nil {
		return complain(err)
	}
	return 0
}

// commandOf says how far the command line was understood: consentd key create.
func commandOf(err error) string {
	words := []string{"consentd"}
	var wrong *kong.ParseError
	if errors.As(err, &wrong) {
		for _, step := range wrong.Context.Path {
			if step.Command != nil {
				words = append(words, step.Command.Name)
			}
		}
	}
	return strings.Join(words, " ")
}

var lacksValue = regexp.MustCompile(`^(--[a-z-]+): expected \S+ value but got ".+" \((<EOL>|long flag|short flag)\)`)

// plainly says in words what kong says of a flag without a value. Its own hint, --expires="--name", is of use only
// where the next word was meant as the value.
func plainly(err error) error {
	m := lacksValue.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return err
	case m[2] == "short flag": // it is not repeated: it may be a secret
		return fmt.Errorf("%s lacks its value; one that begins with a dash goes after =, such as %[1]s=-x", m[1])
	}
	return fmt.Errorf("%s lacks its value", m[1])
}

// complain prints an error, unless everything was said already, and gives its exit code.
func complain(err error) int {
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(os.Stderr, "consentd: %v\n", err)
	}
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailed
}

// errSaid ends a command whose output has said already what is wrong.
var errSaid = errors.New("said already")
