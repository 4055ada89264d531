package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
)

// held is what a test reads of the document that a person is given.
type held struct {
	Subject  struct{ ID string }
	Consents []map[string]any
	Events   []map[string]any
}

// exported reads out the person of the variable subjectid: the document, and all names and values in it.
func (w *harness) exported(v vars) (document held, text string) {
	w.Helper()
	res := w.do(v, "GET", nativeSubjects+"/{{subjectid}}/export", bearerKey, "")
	if res.Status != http.StatusOK {
		w.Fatal(res)
	}
	var whole any
	w.must(json.Unmarshal(res.Body, &whole))
	w.must(json.Unmarshal(res.Body, &document))
	var all strings.Builder
	flatten(&all, whole)
	return document, all.String()
}

// flatten writes all names and values of JSON, a line each.
func flatten(to *strings.Builder, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			fmt.Fprintln(to, name)
			flatten(to, member)
		}
	case []any:
		for _, element := range value {
			flatten(to, element)
		}
	default:
		fmt.Fprintln(to, value)
	}
}

// canaries are values of one person, each of which has the word in it or belongs to nobody else.
func canaries(word string, n int) vars {
	return vars{"word": word, "name": word + " user", "project name": word + "-in-project",
		"email": word + "@shop.example",
		"phone": phoneOf(word), "device": uuid.NewString(), "ip": fmt.Sprintf("203.0.%d.7", n),
		"cut ip": fmt.Sprintf("203.0.%d.0", n), "client": fmt.Sprintf("198.51.%d.77", n),
		"cut client": fmt.Sprintf("198.51.%d.0", n), "agent": word + " Browser/\"7\"",
		"second": "second." + word + "@shop.example",
		"text":   "May we, " + word + "?\n<b>\"Yes\"</b>", "notice": "https://shop.example/" + word + "/notice",
		"form": "https://shop.example/" + word + "/form", "site": word + ".shop.example", "meta": word + " é",
		"before": word + " before", "after": word + " after", "handle": word + "_handle", "attribute": word + " attribute",
		"group": word + " group", "hub text": word + " said yes"}
}

// written are the names of canaries that are to be found in the document.
var written = []string{"name", "project name", "email", "phone", "device", "cut ip", "cut client", "agent", "second",
	"text", "notice", "form", "site", "meta", "before", "after", "handle", "attribute", "group", "hub text"}

// quoted gives the variables as they stand in JSON.
func (v vars) quoted(t testing.TB) vars {
	t.Helper()
	out := vars{}
	for name, value := range v {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(text[1 : len(text)-1])
	}
	return out
}

// TestPersonIsGivenAll: whatever was written about somebody, through our own API and through others, is in what they
// are given; and nothing that was written about somebody else.
func TestPersonIsGivenAll(t *testing.T) { onEngines(t, testPersonIsGivenAll) }

func testPersonIsGivenAll(t *testing.T, e *engine) {
	w := newHarness(t, e)
	ada, bob := canaries("wombat", 113), canaries("numbat", 114)
	for _, who := range []vars{ada, bob} {
		w.writeAll(who)
	}
	for _, tc := range []struct{ who, other vars }{{ada, bob}, {bob, ada}} {
		_, text := w.exported(w.mine.with(tc.who))
		for _, name := range written {
			if !strings.Contains(text, tc.who[name]) {
				t.Errorf("%s: no %s, %q", tc.who["word"], name, tc.who[name])
			}
			if strings.Contains(text, tc.other[name]) {
				t.Errorf("%s: %q is somebody else's", tc.who["word"], tc.other[name])
			}
		}
		if strings.Contains(text, tc.other["word"]) || strings.Contains(text, tc.other["subjectid"]) {
			t.Errorf("%s: there is something of %s", tc.who["word"], tc.other["word"])
		}
	}
}

// writeAll writes all canaries of a person, and notes the subject's id with them.
func (w *harness) writeAll(who vars) {
	w.Helper()
	v := w.mine.with(who.quoted(w))
	write := func(status int, method, target string, headers map[string]string, body string) {
		w.Helper()
		if res := w.do(v, method, target, headers, body); res.Status != status {
			w.Fatalf("%s %s: %v", method, target, res)
		}
	}
	const events = "/api/v1/organizations/{{org}}/projects/{{project}}/events"
	write(201, "POST", events, bearerKey, `{"items":[{"identifiers":{"userId":"{{name}}",`+
		`"projectUserId":"{{project name}}","email":"{{email}}"},`+
		`"purpose":"marketing","state":"accepted","evidence":{"displayedText":"{{text}}",`+
		`"noticeUrl":"{{notice}}","formUrl":"{{form}}","locale":"nl-NL","ip":"{{ip}}","userAgent":"{{agent}}",`+
		`"domain":"{{site}}"},"metadata":{"note":"{{meta}}"}},`+
		`{"identifiers":{"email":"{{second}}"},"purpose":"analytics","state":"declined"}]}`)
	who["subjectid"] = w.subjectOf(v)
	v["subjectid"], v["otherid"] = who["subjectid"], w.subjectOf(v.with(vars{"email": v["second"]}))
	write(200, "POST", nativeSubjects+"/{{subjectid}}/merge", bearerKey, `{"subjectId":"{{otherid}}"}`)
	write(204, "POST", nativeSubjects+"/{{subjectid}}/identifiers", bearerKey, `{"kind":"phone","value":"{{phone}}"}`)
	write(201, "POST", concordProject+"/consent-events", map[string]string{"x-api-key": "{{key}}",
		"Content-Type": "application/json", "X-Forwarded-For": v["client"]},
		`{"items":[{"email":"{{email}}","concordId":"{{device}}","category":"privacy_setting","subcategory":"functional",`+
			`"consentState":"accepted","consentAction":"user_click"}]}`)
	write(202, "POST", "/consent-hub/consent", basicKey, `{"consents":[{"key":"marketing","granted":true,`+
		`"displayedText":"{{hub text}}"}],"email":"{{email}}","locale":"NL"}`)
	for _, value := range []string{"before", "after"} {
		write(200, "PUT", "/persons", slashKey, `{"handles":[{"type":"email_address","value":"{{email}}"},`+
			`{"type":"username","value":"{{handle}}"}],"groups":["{{group}}"],"attributes":{"own":"{{attribute}}",`+
			`"changed":"{{`+value+`}}"}}`)
	}
	write(200, "POST", nativeSubjects+"/{{subjectid}}/restrict", bearerKey, `{"reason":"{{word}} contests it"}`)
}

// TestPersonElsewhere: the decisions of the document, sent in their order to an organization where nothing is on
// record, make the same consents there.
func TestPersonElsewhere(t *testing.T) { onEngines(t, testPersonElsewhere) }

func testPersonElsewhere(t *testing.T, e *engine) {
	w := newHarness(t, e)
	v := w.mine.with(vars{"email": w.mine.expand("moves.{{n}}@shop.example"), "name": w.mine.expand("moves-{{n}}")})
	var items []string
	for _, decision := range []string{
		`"purpose":"marketing","state":"accepted","occurredAt":"2026-02-01T12:00:00Z","metadata":{"n":1}`,
		`"purpose":"marketing","state":"declined","occurredAt":"2026-01-01T12:00:00Z"`, // recorded late
		`"purpose":"analytics","state":"accepted","occurredAt":"2026-02-01T12:00:00Z","evidence":{"displayedText":"May we?"}`,
		`"purpose":"analytics","state":"withdrawn"`,
		`"purpose":"tracking","state":"implied","action":"implied","evidence":{"country":"US"}`,
		`"purpose":"retargeting","state":"implied","action":"implied","evidence":{"country":"NL"}`,
		`"purpose":"functional","state":"accepted","expiresAt":"2026-03-01T00:00:00Z","occurredAt":"2026-02-01T12:00:00Z"`,
		`"purpose":"experience","state":"accepted","action":"import","occurredAt":"2026-02-01T12:00:00Z"`,
		`"purpose":"experience","state":"viewed"`,
		`"purpose":"privacy_policy","state":"viewed"`,
		`"purpose":"do_not_sell","state":"accepted","evidence":{"ip":"185.166.140.232"}`,
	} {
		items = append(items, `{"identifiers":{"userId":"{{name}}","email":"{{email}}"},`+decision+`}`)
	}
	w.post(v, items)
	v["subjectid"] = w.subjectOf(v)
	w.do(v, "PUT", "/persons/{{name}}/consent/gdpr", slashKey, `{"consent_levels":["necessary","analytics"]}`)
	w.do(v, "POST", "/consent-hub/consent", basicKey,
		`{"consents":[{"key":"marketing","granted":true}],"email":"{{email}}","locale":"NL"}`)
	before, _ := w.exported(v)
	if len(before.Events) < 14 || len(before.Consents) < 9 {
		t.Fatalf("%d events, %d consents", len(before.Events), len(before.Consents))
	}
	elsewhere := w.emptyOrganization(v)
	w.post(elsewhere, w.again(before.Events))
	elsewhere["subjectid"] = w.subjectOf(elsewhere)
	after, _ := w.exported(elsewhere)
	if diff := cmp.Diff(standing(before), standing(after)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// again makes items of events, by what can be carried over.
func (w *harness) again(events []map[string]any) (items []string) {
	w.Helper()
	for _, e := range events {
		item := map[string]any{}
		for _, name := range []string{"identifiers", "purpose", "state", "action", "occurredAt", "expiresAt", "evidence",
			"metadata"} {
			if e[name] != nil {
				item[name] = e[name]
			}
		}
		text, err := json.Marshal(item)
		w.must(err)
		items = append(items, string(text))
	}
	return items
}

// TestPersonBreaksOff: where somebody is erased while they are read out, the reader sees that it is not the whole.
func TestPersonBreaksOff(t *testing.T) { onEngines(t, testPersonBreaksOff) }

func testPersonBreaksOff(t *testing.T, e *engine) {
	w := newHarness(t, e)
	v := w.mine.with(vars{"email": w.mine.expand("leaves.{{n}}@shop.example")})
	long := strings.Repeat("May we? ", 2500)
	for range 20 { // more than what lies between server and reader holds
		w.post(v, slices.Repeat([]string{`{"identifiers":{"email":"{{email}}"},"purpose":"marketing","state":"accepted",` +
			`"evidence":{"displayedText":"{{n}}` + long + `"}}`}, 40))
	}
	v["subjectid"] = w.subjectOf(v)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+v.expand(nativeSubjects+
		"/{{subjectid}}/export"), http.NoBody)
	w.must(err)
	req.Header.Set("Authorization", v.expand("Bearer {{key}}"))
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	defer res.Body.Close()
	begin := make([]byte, 64<<10)
	if _, err := io.ReadFull(res.Body, begin); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	w.value(w.do(v, "POST", nativeSubjects+"/{{subjectid}}/erase", bearerKey, `{}`), 200, "erasedAt")
	rest, err := io.ReadAll(res.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || json.Valid(append(begin, rest...)) {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
}

// standing is what consents say, by purpose, without what names records of one organization.
func standing(document held) map[string]string {
	said := map[string]string{}
	for _, c := range document.Consents {
		said[fmt.Sprint(c["purpose"])] = fmt.Sprint(c["granted"], c["state"], c["reason"], c["decidedAt"], c["expiresAt"])
	}
	return said
}

// post records decisions in the default project, in their order.
func (w *harness) post(v vars, items []string) {
	w.Helper()
	res := w.do(v, "POST", "/api/v1/organizations/{{org}}/projects/default/events", bearerKey,
		`{"items":[`+strings.Join(items, ",")+`]}`)
	if res.Status != http.StatusCreated {
		w.Fatal(res)
	}
}

// emptyOrganization gives variables of an organization in which nothing is on record.
func (w *harness) emptyOrganization(v vars) vars {
	w.Helper()
	id := w.value(w.do(v, "POST", "/privacy-v1/organizations", concordRoot, `{"name":"Empty {{n}}",`+
		`"primaryDomain":"empty.example","privacyPolicyUrl":"https://empty.example/privacy"}`), 201, "id")
	out := v.with(vars{"org": id})
	out["key"], _ = w.key(w.actorOf(out), "everything", consent.AllScopes...)
	return out
}
