package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// TestCheckCommand asks beside a running server: what it answers, in words and as JSON, with its exit codes.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, nil)
	root := keyPattern.FindAllString(p.out.String(), -1)[0]
	organization := organizationOf(t, p, root)
	none := command(t, nil, "check", "--data", dir, "--email", "ada@shop.example", "--purpose", "marketing")
	if none.code != 1 || none.out.String() != "marketing: not granted. Never asked: nothing is on record.\n" ||
		none.errOut.String() != "Nobody is known by this.\n" {
		t.Errorf("of nobody: exit code %d, %q, %q", none.code, none.out.String(), none.errOut.String())
	}
	project := defaultProjectOf(t, p, root, organization)
	status, answer := call(t, "POST", p.url+tenant{organization, project}.eventsPath(),
		map[string]string{"x-api-key": root, "Content-Type": "application/json"}, `{"items":[
		{"userId":"ada","email":"ada@shop.example","phoneNumber":"+493012345678","category":"privacy_setting",
		 "subcategory":"marketing","consentState":"accepted","consentAction":"user_click",
		 "consentDate":"2026-01-31T12:00:00Z","expirationDate":"2999-01-31T12:00:00Z"},
		{"userId":"ada","category":"privacy_setting","subcategory":"analytics","consentState":"declined",
		 "consentAction":"user_click","consentDate":"2026-02-01T12:00:00Z","expirationDate":"2999-01-31T12:00:00Z"}]}`)
	if status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	const yes = "marketing: granted. Accepted on 2026-01-31 12:00:00 UTC. It expires on 2999-01-31 12:00:00 UTC.\n"
	const no = "analytics: not granted. Declined on 2026-02-01 12:00:00 UTC.\n"
	const over = "marketing: not granted. Decided on 2026-01-31 12:00:00 UTC, and expired on 2999-01-31 12:00:00 UTC.\n"
	const never = "marketing: not granted. Never asked: nothing is on record.\n"
	for _, tc := range []struct {
		args string
		code int
		out  string
	}{
		{"--email ADA@shop.example --purpose marketing", 0, yes},
		{"--user-id ada --purpose marketing --project default", 0, yes},
		{"--phone +493012345678 --user-id ada --purpose marketing --organization " + organization, 0, yes},
		{"--email ada@shop.example --purpose analytics --purpose marketing", 1, no + yes},
		{"--user-id ada --purpose marketing --at 2026-01-31T11:59:59Z", 1, never},
		{"--user-id ada --purpose marketing --at 2026-01-31T12:00:00Z", 0, yes},
		{"--user-id ada --purpose marketing --at 2026-01-31T12:00:00Z --as-recorded", 1, never},
		{"--user-id ada --purpose marketing --at 2999-01-31T12:00:00Z", 1, over},
	} {
		got := command(t, []string{"CONSENTD_DATA=" + dir}, append([]string{"check"}, strings.Fields(tc.args)...)...)
		if got.code != tc.code || got.out.String() != tc.out || got.errOut.String() != "" {
			t.Errorf("%s: exit code %d, %q, %q", tc.args, got.code, got.out.String(), got.errOut.String())
		}
	}
	all := command(t, nil, "check", "--data", dir, "--user-id", "ada")
	if lines := strings.Count(all.out.String(), "\n"); all.code != 1 || lines < 11 {
		t.Errorf("all purposes: exit code %d, %d lines", all.code, lines)
	}
	shown := command(t, nil, "check", "--data", dir, "--user-id", "ada", "--purpose", "marketing", "--json")
	var decoded struct {
		SubjectID string `json:"subjectId"`
		Results   []struct {
			Granted bool   `json:"granted"`
			Reason  string `json:"reason"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(shown.out.String()), &decoded); err != nil || shown.code != 0 ||
		decoded.SubjectID == "" || len(decoded.Results) != 1 || decoded.Results[0].Reason != "accepted" {
		t.Errorf("as JSON: exit code %d, %v, %s", shown.code, err, shown.out.String())
	}
}

// TestCheckCommandRefuses has exit code 2 for whatever is no answer, so that 1 is always a no.
func TestCheckCommandRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, nil)
	p.stop(t)
	for args, says := range map[string]string{
		"": "say who: --email", "--purpose marketing": "say who: --email",
		"--email nonsense": "--email: ", "--email a@b.c --purpose sms": `--purpose "sms": is not known in this project`,
		"--email a@b.c --project other":                       "--project: is not known",
		"--email a@b.c --organization other":                  "there is no organization",
		"--email a@b.c --at yesterday":                        "--at: must be an RFC 3339 date and time",
		"--email a@b.c --at 1969-01-01T00:00:00Z":             "--at: must be in the years",
		"--email a@b.c --as-recorded":                         "--as-recorded goes with --at",
		"--email a@b.c --data " + t.TempDir():                 "start consentd serve there first",
		"--anonymous-id 00000000-0000-0000-0000-000000000000": "--anonymous-id: must not be the UUID",
		"--nothing": "unknown flag",
	} {
		got := command(t, []string{"CONSENTD_DATA=" + dir}, append([]string{"check"}, strings.Fields(args)...)...)
		if got.code != exitUsage || !strings.Contains(got.errOut.String(), says) || got.out.String() != "" {
			t.Errorf("%q: exit code %d, %q, %q", args, got.code, got.out.String(), got.errOut.String())
		}
	}
}

// TestReasonsInWords has a sentence for every reason.
func TestReasonsInWords(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	purpose := &consent.Purpose{Key: "mail", LegalBasis: consent.BasisPublicTask}
	says := map[consent.Reason]string{
		consent.ReasonAccepted: "Accepted on 2026-01-31 12:00:00 UTC. It does not expire.",
		consent.ReasonImpliedOptOut: "Implied on 2026-01-31 12:00:00 UTC, where the law lets that hold " +
			"until a no. " +
			"It does not expire.",
		consent.ReasonImpliedNeedsYes: "Implied on 2026-01-31 12:00:00 UTC, where the law asks for a yes.",
		consent.ReasonDeclined:        "Declined on 2026-01-31 12:00:00 UTC.",
		consent.ReasonWithdrawn:       "Withdrawn on 2026-01-31 12:00:00 UTC.",
		consent.ReasonViewedOnly:      "A notice was seen on 2026-01-31 12:00:00 UTC, and nothing was decided.",
		consent.ReasonReacceptRequired: "Accepted on 2026-01-31 12:00:00 UTC under version 1 of the text; version 3 or one " +
			"between asks for a new yes.",
		consent.ReasonExpired:    "Decided on 2026-01-31 12:00:00 UTC, and expired on 2027-01-31 12:00:00 UTC.",
		consent.ReasonNeverAsked: "Never asked: nothing is on record.",
		consent.ReasonRestricted: "Restricted: what is held of this person is kept, and not to be used.",
		consent.ReasonSuppressed: "Suppressed: who had this identifier was erased, and wants no more.",
		consent.ReasonLegalBasis: "It rests on public task, not on consent.",
		consent.ReasonObjected: "It rests on legitimate interests, to which the person objected on " +
			"2026-01-31 12:00:00 UTC.",
		consent.ReasonTooManyPeople: "More people share this identifier than are looked at, and one of them " +
			"may have said no.",
	}
	for _, reason := range allReasons(t) {
		r := &consent.CheckResult{Purpose: purpose, Reason: reason, DecidedAt: at, PurposeVersion: 1, CurrentVersion: 3}
		if reason == consent.ReasonExpired {
			r.ExpiresAt = at.AddDate(1, 0, 0)
		}
		if got := reasonInWords(r); got != says[reason] {
			t.Errorf("%s: %q, want %q", reason, got, says[reason])
		}
	}
}

// allReasons reads the source of the core, so that a reason that is new has to have its sentence.
func allReasons(t *testing.T) (all []consent.Reason) {
	t.Helper()
	const core = "../../internal/consent"
	files, err := filepath.Glob(core + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				for _, value := range spec.Values {
					text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, consent.Reason(text))
				}
			}
			return true
		})
	}
	if len(all) < 14 {
		t.Fatalf("only %d reasons were found: %v", len(all), all)
	}
	return all
}

// TestCheckSuppressed says no of whoever was erased and wants no more, whatever an import says since; and says nothing
// where it has not the key file, by which alone that can be told.
func TestCheckSuppressed(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		p := k.serve()
		o := newTenant(k.t, p)
		record := func(action string) {
			k.t.Helper()
			status, answer := call(k.t, "POST", p.url+o.eventsPath(), map[string]string{"x-api-key": rootKey},
				`{"items":[{"email":"ada@shop.example","category":"privacy_setting","subcategory":"marketing",`+
					`"consentState":"accepted","consentAction":"`+action+`"}]}`)
			if status != 201 {
				k.t.Fatalf("%d %s", status, answer)
			}
		}
		check := func(env ...string) *process {
			return command(k.t, append(slices.Clone(k.env), env...), append([]string{"check", "--email", "ada@shop.example",
				"--purpose", "marketing"}, k.args...)...)
		}
		record("user_click")
		path := p.url + "/api/v1/organizations/" + o.organization
		bearer := map[string]string{"Authorization": "Bearer " + rootKey}
		status, answer := call(k.t, "POST", path+"/subjects:lookup", bearer, `{"identifiers":{"email":"ada@shop.example"}}`)
		var ada struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(answer, &ada); err != nil || status != 200 {
			k.t.Fatalf("%d %v %s", status, err, answer)
		}
		elsewhere := "CONSENTD_KEK_FILE=" + filepath.Join(k.t.TempDir(), "kek")
		without := func() {
			k.t.Helper()
			got := check(elsewhere)
			if got.code != exitUsage || got.out.String() != "" {
				k.t.Errorf("without the key file: %d %q", got.code, got.out.String())
			}
			hold(k.t, "without the key file", got.errOut.String(), "who people are cannot be read", "--kek-file",
				"no such file")
		}
		without()
		status, answer = call(k.t, "POST", path+"/subjects/"+ada.ID+"/erase", bearer, `{"suppress":true}`)
		if status != 200 {
			k.t.Fatalf("%d %s", status, answer)
		}
		record("import")
		const no = "marketing: not granted. Suppressed: who had this identifier was erased, and wants no more.\n"
		if got := check(); got.code != 1 || got.out.String() != no {
			k.t.Errorf("%d %q %q", got.code, got.out.String(), got.errOut.String())
		}
		without()
	})
}

func defaultProjectOf(t *testing.T, p *process, root, organization string) string {
	t.Helper()
	_, answer := call(t, "GET", p.url+"/privacy-v1/organizations/"+organization, map[string]string{"x-api-key": root}, "")
	var o struct {
		Project string `json:"defaultProjectId"`
	}
	if err := json.Unmarshal(answer, &o); err != nil || o.Project == "" {
		t.Fatalf("%v: %s", err, answer)
	}
	return o.Project
}
