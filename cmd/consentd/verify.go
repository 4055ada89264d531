package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/consentd/consentd/evidence"
)

// verifyCmd verifies a bundle of evidence. It opens the files that it is given, and nothing else.
type verifyCmd struct {
	File       string   `arg:"" help:"The bundle, a zip."`
	VKey       []string `name:"vkey" sep:"none" help:"A key of the ledger or a witness, repeatable." placeholder:"KEY"`
	Checkpoint string   `help:"A checkpoint that you noted before: the ledger must go on from it." placeholder:"FILE"`
}

// Help implements kong.HelpProvider.
func (verifyCmd) Help() string {
	return `It tells whether a bundle of evidence is what was recorded, one line a check. The bundle is the zip that
GET …/subjects/ID/evidence gives. No network, no database and no key file is needed, and nothing in a bundle can make
it run, fetch or write anything.

What is verified: who signed the ledger; that each decision is in it; that what was decided, by whom and when are what
was recorded; that what was shown has the hash that was recorded; and that the page, the receipt and the README say the
same as the data. What no proof covers, such as the organization's name, is told in lines that begin with NOTE.

Give the ledger's public key by --vkey, as you know it from elsewhere: from a contract, from an earlier bundle, or from
GET …/ledger/keys at the time. Without it the key is the bundle's own, which whoever made the bundle could have chosen;
the output says so. A witness's key, given the same way, asks that the witness has cosigned.

--checkpoint compares with a checkpoint that you kept, as GET …/ledger/checkpoint gives it: ask for the evidence with
?since=ITS-SIZE.

Examples:

	consentd verify evidence.zip
	consentd verify --vkey consent.example.com/ledger/ORG+2d0e3b1c+AVRr...yk evidence.zip
	consentd verify --checkpoint noted-in-may.txt evidence.zip

Exit codes: 0 all hold; 1 one does not, and its line names the file, the decision and the field; 2 the bundle, a key or
the checkpoint is not readable.`
}

// maxCheckpoint is how large the file of a checkpoint may be: more than one with many witnesses takes.
const maxCheckpoint = 64 << 10

// Run verifies.
func (c *verifyCmd) Run() error {
	report, err := c.verify()
	if err != nil { // 1 says that something does not hold, and nothing else
		return &exitError{exitUsage, errors.New(graphic(err.Error()))}
	}
	for _, check := range report.Checks {
		if err := printCheck(&check); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	for _, note := range report.Notes {
		fmt.Println("NOTE  " + graphic(note))
	}
	if report.OnlyMissing() {
		fmt.Println("\nNothing in this bundle was found to be wrong, but it lacks the proof that you asked for: see above.")
		return &exitError{exitFailed, errSaid}
	}
	if !report.Holds() {
		fmt.Println("\nThis bundle does not hold: do not rely on it.")
		return &exitError{exitFailed, errSaid}
	}
	fmt.Println("\nAll checks hold. What they do not cover is noted above.")
	return nil
}

// graphic leaves out what a terminal would take for more than text: what is verified may have been made by anybody.
func graphic(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsGraphic(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

func printCheck(check *evidence.Check) error {
	if check.OK {
		_, err := fmt.Println("ok    " + graphic(check.Says))
		return err
	}
	where := ""
	number := ""
	if check.Decision > 0 {
		number = strconv.Itoa(check.Decision)
	}
	for _, part := range []struct{ name, value string }{{"file", check.File}, {"decision", number},
		{"field", check.Field}} {
		if part.value != "" {
			where += ", " + part.name + " " + graphic(part.value)
		}
	}
	if where != "" {
		where = " (" + where[2:] + ")"
	}
	_, err := fmt.Println("WRONG " + graphic(check.Says) + where)
	return err
}

func (c *verifyCmd) verify() (*evidence.Report, error) {
	o := evidence.Options{Keys: c.VKey}
	if c.Checkpoint != "" {
		note, err := readSmall(c.Checkpoint, maxCheckpoint)
		if err != nil {
			return nil, fmt.Errorf("--checkpoint: %w", err)
		}
		o.Checkpoint = note
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", c.File)
	}
	report, err := evidence.Verify(file, info.Size(), o)
	var option *evidence.OptionError
	switch {
	case errors.Is(err, evidence.ErrUnreadable):
		return nil, fmt.Errorf("%s: %w", c.File, err)
	case errors.As(err, &option):
		if option.Option == "Keys" {
			return nil, fmt.Errorf("--vkey: %w", option.Err)
		}
		return nil, fmt.Errorf("--checkpoint %s: %w", c.Checkpoint, option.Err)
	}
	return report, err
}

// readSmall reads what somebody named, of so many bytes at most, whatever it is.
func readSmall(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return content, err
}
