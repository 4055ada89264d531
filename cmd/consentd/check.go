package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol/native"
)

// checkCmd asks whether consent is in force, on the data itself.
type checkCmd struct {
	Settings
	UserID        *string  `name:"user-id" help:"Who: the organization's name of the person." placeholder:"ID"`
	ProjectUserID *string  `name:"project-user-id" help:"Who: a project's name of the person." placeholder:"ID"`
	Email         *string  `help:"Who: an e-mail address." placeholder:"ADDRESS"`
	Phone         *string  `help:"Who: a phone number." placeholder:"NUMBER"`
	AnonymousID   *string  `name:"anonymous-id" help:"Who: a browser's id, or our own of a person." placeholder:"ID"`
	Purpose       []string `sep:"none" help:"Key of a purpose, repeatable; default: all there are." placeholder:"KEY"`
	Organization  string   `help:"Id or slug of the organization; default: the only one there is." placeholder:"ID"`
	Project       string   `help:"Id or slug of the project; default: the default one." placeholder:"ID"`
	At            string   `help:"At a past or future instant: 2026-01-31T12:00:00Z; default: now." placeholder:"TIME"`
	AsRecorded    bool     `help:"With --at: count what was recorded by then, rather than what had occurred."`
	JSON          bool     `name:"json" help:"Print the answer as POST …/check of the native API gives it."`
}

// Help implements kong.HelpProvider.
func (checkCmd) Help() string {
	return `May we? It tells of one person, by one or more identifiers, whether each purpose's consent is in force, and
why, one line a purpose. It opens the data folder or the database itself, so it needs no API key, beside a running
server or without one. It changes nothing, and creates nobody.

Who people are is encrypted by the key file. Where it cannot be read, nothing is answered: name it with --kek-file, and
run this as a user who may read it.

A person is named as in the native API: the strongest identifier decides, and a no of anybody who shares one of them
counts. --at asks about another instant: as it is known today to have been then or, with --as-recorded, as it was on
record then.

Examples:

	consentd check --email ada@shop.example --purpose marketing
	consentd check --user-id ada                       # all purposes of the default project
	consentd check --phone +493012345678 --purpose analytics --project shop --json
	consentd check --email ada@shop.example --purpose marketing --at 2026-01-31T12:00:00Z
	consentd check --email ada@shop.example --purpose newsletter --data /var/lib/consentd

Environment: CONSENTD_DATA names the data folder, CONSENTD_DATABASE_URL the database, CONSENTD_KEK_FILE the key file,
CONSENTD_CONFIG the YAML file, as for consentd serve.

Exit codes: 0 granted, all that were asked about; 1 not granted; 2 wrong command line, or it could not be found out.`
}

// identifiers gives by what the person is named.
func (c *checkCmd) identifiers() (given []consent.Identifier) {
	for _, id := range []struct {
		kind  consent.IdentifierKind
		value *string
	}{{consent.UserID, c.UserID}, {consent.ProjectUserID, c.ProjectUserID}, {consent.Email, c.Email},
		{consent.Phone, c.Phone}, {consent.AnonymousID, c.AnonymousID}} {
		if id.value != nil {
			given = append(given, consent.Identifier{Kind: id.kind, Value: *id.value})
		}
	}
	return given
}

// query makes the core's query. Its error names the flag.
func (c *checkCmd) query() (q consent.CheckQuery, err error) {
	q = consent.CheckQuery{Project: c.Project, People: [][]consent.Identifier{c.identifiers()}, Purposes: c.Purpose,
		Field: c.flag}
	if len(q.People[0]) == 0 {
		return q, errors.New("say who: --email, --phone, --user-id, --project-user-id or --anonymous-id")
	}
	q.AsRecorded = c.AsRecorded
	if c.At == "" && c.AsRecorded {
		return q, errors.New("--as-recorded goes with --at")
	}
	if c.At != "" {
		if q.At, err = consent.ParseInstant(c.At); err != nil {
			return q, fmt.Errorf("--at: %w", err)
		}
		if err := q.Instant.Check(); err != nil {
			return q, fmt.Errorf("--at: %s", consent.AsError(err).Msg)
		}
	}
	return q, nil
}

// flag is a consent.CheckQuery.Field. A purpose is shown, which is nobody's.
func (c *checkCmd) flag(_ int, noun string) string {
	if number, ok := strings.CutPrefix(noun, "purposes["); ok {
		if i, err := strconv.Atoi(strings.TrimSuffix(number, "]")); err == nil && i < len(c.Purpose) {
			return "--purpose " + strconv.QuoteToGraphic(c.Purpose[i])
		}
	}
	if noun == "purposes" {
		return "--purpose"
	}
	return "--" + strings.ReplaceAll(noun, "_", "-")
}

// Run asks.
func (c *checkCmd) Run() error {
	q, err := c.query()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	var answer consent.Checked
	err = c.onFolder(true, func(ctx context.Context, f *folder) error {
		o, err := f.organizations(ctx).only(c.Organization)
		if err != nil {
			return err
		}
		actor, err := f.service.Operator().In(o.ID)
		if err != nil {
			return err
		}
		answers, err := f.service.Check(ctx, actor, q)
		if err == nil {
			answer = answers[0]
		}
		if f.noKeys != nil && consent.IsKind(err, consent.Unavailable) {
			return fmt.Errorf("%s; name the key file with --kek-file (CONSENTD_KEK_FILE): %w", consent.AsError(err).Msg,
				f.noKeys)
		}
		return err
	})
	if err != nil { // 1 says that something is not granted, and nothing else
		return &exitError{exitUsage, err}
	}
	if err := c.print(&answer); err != nil {
		return &exitError{exitUsage, err}
	}
	for i := range answer.Results {
		if !answer.Results[i].Granted {
			return &exitError{exitFailed, errSaid}
		}
	}
	return nil
}

func (c *checkCmd) print(answer *consent.Checked) error {
	if c.JSON {
		_, err := fmt.Println(string(native.CheckJSON(answer)))
		return err
	}
	if answer.Subject == consent.NoID {
		fmt.Fprintln(os.Stderr, "Nobody is known by this.")
	}
	if answer.Ambiguous {
		fmt.Fprintln(os.Stderr, "Several people have or claim this; a no of any of them counts.")
	}
	for i := range answer.Results {
		if _, err := fmt.Println(inWords(&answer.Results[i])); err != nil {
			return err
		}
	}
	return nil
}

// inWords tells a result in a line.
func inWords(r *consent.CheckResult) string {
	verdict := "not granted"
	if r.Granted {
		verdict = "granted"
	}
	return printable(r.Purpose.Key) + ": " + verdict + ". " + reasonInWords(r)
}

func reasonInWords(r *consent.CheckResult) string {
	on := "on " + secondOf(r.DecidedAt)
	until := "It does not expire."
	if !r.ExpiresAt.IsZero() {
		until = "It expires on " + secondOf(r.ExpiresAt) + "."
	}
	switch r.Reason {
	case consent.ReasonAccepted:
		return "Accepted " + on + ". " + until
	case consent.ReasonImpliedOptOut:
		return "Implied " + on + ", where the law lets that hold until a no. " + until
	case consent.ReasonImpliedNeedsYes:
		return "Implied " + on + ", where the law asks for a yes."
	case consent.ReasonDeclined:
		return "Declined " + on + "."
	case consent.ReasonWithdrawn:
		return "Withdrawn " + on + "."
	case consent.ReasonViewedOnly:
		return "A notice was seen " + on + ", and nothing was decided."
	case consent.ReasonExpired:
		return "Decided " + on + ", and expired on " + secondOf(r.ExpiresAt) + "."
	case consent.ReasonReacceptRequired:
		return fmt.Sprintf("Accepted %s under version %d of the text; version %d or one between asks for a new yes.", on,
			r.PurposeVersion, r.CurrentVersion)
	case consent.ReasonNeverAsked:
		return "Never asked: nothing is on record."
	case consent.ReasonLegalBasis:
		return "It rests on " + strings.ReplaceAll(string(r.Purpose.LegalBasis), "_", " ") + ", not on consent."
	case consent.ReasonObjected:
		return "It rests on legitimate interests, to which the person objected " + on + "."
	case consent.ReasonTooManyPeople:
		return "More people share this identifier than are looked at, and one of them may have said no."
	case consent.ReasonRestricted:
		return "Restricted: what is held of this person is kept, and not to be used."
	case consent.ReasonSuppressed:
		return "Suppressed: who had this identifier was erased, and wants no more."
	}
	return string(r.Reason) + "."
}

// secondOf shows an instant to the second.
func secondOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
