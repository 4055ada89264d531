package evidence

import (
	"encoding/json"
	"html/template"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPageIsInert: a page loads nothing, runs nothing and leads nowhere, whatever people wrote.
func TestPageIsInert(t *testing.T) {
	page := string(unpacked(t, written(t, testBundle(5)))[PageFile])
	for _, active := range []string{"<script", "<b>", "<form>", "href=", "src=", "url(", "@import", "http-equiv=\"refresh",
		"onload", "<iframe", "<img", "<link", "<base"} {
		if strings.Contains(page, active) {
			t.Errorf("the page has %q", active)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)", "&lt;b&gt;0&lt;/b&gt;", "javascript:alert(1)", "size: A4",
		"default-src &#39;none&#39;", "charset=\"utf-8\""} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if policy == nil || style == nil ||
		strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1]) != policyOf(style[1]) {
		t.Errorf("the policy %q does not allow the style %q", policy, style)
	}
}

// TestPageShows: per decision what was shown, what was chosen, when, under which law, and how to verify it.
func TestPageShows(t *testing.T) {
	b := testBundle(5)
	page := string(unpacked(t, written(t, b))[PageFile])
	sections := strings.Split(page, "<h3 id=\"decision-")[1:]
	if len(sections) != 5 {
		t.Fatalf("%d decisions are shown", len(sections))
	}
	for i, section := range sections {
		shown := "Shall we write to you?\n&lt;b&gt;" + string(rune('0'+i/2)) + "&lt;/b&gt;"
		if i%2 == 1 {
			shown = "The same text as in decision " + string(rune('0'+i)) + "."
		}
		for _, want := range []string{shown, "2026-03-01T12:00:00.000000Z", b.Decisions[i].RecordedAt, "opt-in: nothing",
			"GDPR Art. 6(1)(a)", "country: DE", "by the person&#39;s own action", "email: ada@shop.example", "user_id: ada",
			b.Decisions[i].Event, "version 1, which held from 2026-01-01", "button: a&lt;b&gt;", "n: 3", "192.0.2.7"} {
			if !strings.Contains(section, want) {
				t.Errorf("decision %d lacks %q:\n%s", i+1, want, section)
			}
		}
		chosen := []string{"taken back (withdrawn)", "No (declined)"}[i%2]
		if !strings.Contains(section, chosen) {
			t.Errorf("decision %d lacks %q", i+1, chosen)
		}
	}
	for _, want := range []string{"Shop &amp; Söhne", vkeyOf(testKey)[:20], "We write letters.", "Letters &lt;now&gt;",
		"10 entries when it was signed", "consentd verify --vkey", "The word of whoever made the bundle alone"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestPageSaysNoMore: a person's own id is no browser's, a locale may be a country, and a no does not end.
func TestPageSaysNoMore(t *testing.T) {
	const until = "2027-03-01T00:00:00.000000Z"
	for _, c := range []struct {
		name, state, regime, browser string
		lacks, has                   string
	}{
		{"a yes", "accepted", "opt-in", "", "known to the browser", "it expires at " + until},
		{"a no", "declined", "opt-in", "", "it expires at", "No (declined)"},
		{"taken back", "withdrawn", "opt-out", "", "it expires at", "taken back"},
		{"implied", "implied", "opt-in", "", "it expires at", "implied"},
		{"implied where it may be", "implied", "opt-out", "", "language", "it expires at " + until},
		{"a browser's", "accepted", "opt-in", "b7", "language", `known to the browser as <span class="hash">b7<`},
		{"a locale", "accepted", "opt-in", "", "language", "locale US"},
	} {
		b := testBundle(1)
		d := &b.Decisions[0]
		d.Body = strings.NewReplacer(`"declined"`, `"`+c.state+`"`, `"withdrawn"`, `"`+c.state+`"`, `"opt-in"`, `"`+c.regime+
			`"`, `"de-DE"`, `"US"`, `{"action"`, `{"expires_at":"`+until+`","action"`).Replace(
			bodyOf("text", "declined"))
		if c.browser != "" {
			d.Ident = strings.ReplaceAll(d.Ident, `"anonymous_id":"`+testPerson+`"`, `"anonymous_id":"`+c.browser+`"`)
		}
		files := must(render(b))
		page := string(files[PageFile])
		if strings.Contains(page, c.lacks) || !strings.Contains(page, c.has) {
			t.Errorf("%s: it has %q, or lacks %q", c.name, c.lacks, c.has)
		}
		if ends := strings.Contains(string(files[ReceiptFile]), until); ends != strings.Contains(page, "it expires at") {
			t.Errorf("%s: the receipt says otherwise than the page", c.name)
		}
	}
}

// TestTextsAreShownOnce: a text that many versions have, or decisions showed too, is in the page once, so that the page
// is no larger than the texts that the bounds count.
func TestTextsAreShownOnce(t *testing.T) {
	b := testBundle(4)
	legal, shown := "We write letters.", "Shall we write to you?\n<b>0</b>"
	for i := range 200 {
		v := b.Versions[0]
		if v.Version = i + 2; i == 0 {
			v.LegalText = hashPrefix + hexOf(shown)
		}
		b.Versions = append(b.Versions, v)
	}
	page := string(unpacked(t, written(t, b))[PageFile])
	same := "<td>The same text as in "
	for part, want := range map[string]int{legal: 1, "&lt;b&gt;0&lt;/b&gt;": 1, same + "decision 1.": 2,
		same + "version 1 of marketing in project " + testProject + ".\n": 199,
		`<span class="hash">texts/` + hexOf(legal) + ".txt":               200} {
		if got := strings.Count(page, part); got != want {
			t.Errorf("%q is there %d times, want %d", part, got, want)
		}
	}
}

// TestLargeTextsAreEscapedWhole: that a text is escaped in parts changes nothing of it.
func TestLargeTextsAreEscapedWhole(t *testing.T) {
	for _, text := range []string{"", "é", strings.Repeat("é<\x00'&\xff", 40_000), strings.Repeat("€", 64<<10)} {
		var whole, parts strings.Builder
		of := func(s string) *template.Template {
			return template.Must(template.New("").Funcs(template.FuncMap{"pieces": pieces}).Parse(s))
		}
		if err := of("<pre>{{.}}</pre>").Execute(&whole, text); err != nil {
			t.Fatal(err)
		}
		if err := of("<pre>{{range pieces .}}{{.}}{{end}}</pre>").Execute(&parts, text); err != nil {
			t.Fatal(err)
		}
		if whole.String() != parts.String() {
			t.Errorf("a text of %d bytes is another one in parts", len(text))
		}
	}
}

// TestReceiptIsOneDocument: made record by record it is what it is as a whole.
func TestReceiptIsOneDocument(t *testing.T) {
	for _, decisions := range []int{0, 1, 3} {
		b := testBundle(decisions)
		files := must(render(b))
		r := receipt{receiptContext, make([]record, decisions)}
		for i := range b.Decisions {
			f, _, _ := factsOf(&b.Decisions[i])
			r.Graph[i] = recordOf(b, &b.Decisions[i], &f, &b.Versions[0])
		}
		if want := must(encode(&r)); string(files[ReceiptFile]) != string(want) {
			t.Errorf("%d decisions:\n%s\nwant\n%s", decisions, files[ReceiptFile], want)
		}
	}
}

// TestReceipt: each decision has a record with the terms of the vocabulary, and names what is not known.
func TestReceipt(t *testing.T) {
	b := testBundle(4)
	var r struct {
		Context map[string]string `json:"@context"`
		Graph   []map[string]any  `json:"@graph"`
	}
	if err := json.Unmarshal(unpacked(t, written(t, b))[ReceiptFile], &r); err != nil || len(r.Graph) != 4 {
		t.Fatalf("%d records, %v", len(r.Graph), err)
	}
	prefixed := regexp.MustCompile(`^[a-z-]+:`)
	for i, record := range r.Graph {
		status := []string{"dpv:ConsentWithdrawn", "dpv:ConsentRefused"}[i%2]
		if got := record["dpv:hasConsentStatus"].(map[string]any)["@id"]; got != status {
			t.Errorf("record %d says %v, want %s", i, got, status)
		}
		for name := range record {
			prefix := prefixed.FindString(name)
			if _, known := r.Context[strings.TrimSuffix(prefix, ":")]; !known && !strings.HasPrefix(name, "@") {
				t.Errorf("record %d: nobody knows what %s is", i, name)
			}
		}
		var missing []string
		for _, field := range record["consentd:missing"].([]any) {
			missing = append(missing, field.(string))
		}
		if !slices.Contains(missing, "retention_period (dpv:hasStorageCondition)") ||
			!slices.Contains(missing, "validity_duration (dct:valid)") ||
			slices.Contains(missing, "privacy_notice (dpv:hasNotice)") {
			t.Errorf("record %d misses %q", i, missing)
		}
	}
}

func TestConsentStatus(t *testing.T) {
	for _, c := range []struct{ state, action, regime, status, kind string }{
		{"accepted", "user_click", "opt-in", "dpv:ConsentGiven", "dpv:ExpressedConsent"},
		{"accepted", "import", "opt-in", "dpv:ConsentGiven", "dpv:Consent"},
		{"implied", "implied", "opt-out", "dpv:ConsentGiven", "dpv:ImpliedConsent"},
		{"implied", "implied", "opt-in", "dpv:ConsentUnknown", "dpv:ImpliedConsent"},
		{"viewed", "implied", "opt-in", "dpv:ConsentRequested", "dpv:ImpliedConsent"},
		{"other", "other", "opt-out", "dpv:ConsentUnknown", "dpv:Consent"},
	} {
		f := &facts{State: c.state, Action: c.action, Regime: c.regime}
		if status, kind := statusOf(f), consentType(f); status != c.status || kind != c.kind {
			t.Errorf("%+v: %s, %s", c, status, kind)
		}
	}
}

// TestReadmeListsFiles: whoever has sha256sum can hold the files against the README.
func TestReadmeListsFiles(t *testing.T) {
	files := unpacked(t, written(t, testBundle(2)))
	readme := string(files[ReadmeFile])
	for name, content := range files {
		if line := hexOf(string(content)) + "  " + name + "\n"; name != ReadmeFile && !strings.Contains(readme, line) {
			t.Errorf("the README lacks %q", line)
		}
	}
}

// FuzzFacts: whatever a body and an ident are, they are read the same or not at all, and are shown without a fault.
func FuzzFacts(f *testing.F) {
	f.Add(bodyOf("text", "accepted"), testIdent)
	f.Add("{}", "{}")
	f.Add(`{"state":"accepted","state":"declined"}`, `{"identifiers":{"a":{"b":1}}}`)
	f.Add(`{"purpose_version":1e9,"undated":null}`, "\xff")
	f.Fuzz(func(t *testing.T, body, ident string) {
		d := Decision{Body: body, Ident: ident}
		one, field, err := factsOf(&d)
		if err == nil && (!json.Valid([]byte(body)) || !json.Valid([]byte(ident))) {
			t.Errorf("read %q and %q", body, ident)
		}
		if err != nil && field != "body" && field != "ident" {
			t.Errorf("%v in the field %q", err, field)
		}
		b := &Bundle{Decisions: []Decision{d}}
		p := pageOf(b, []facts{one})
		if _, err := filesOf(p, p.others()); err != nil {
			t.Error(err)
		}
	})
}

// TestFormIsKept: what bundles of this form were once made of is what Verify makes of their data for ever. Whoever
// changes a template, a word or the receipt makes another form (see format), and keeps this one for reading.
func TestFormIsKept(t *testing.T) {
	files := unpacked(t, written(t, testBundle(5)))
	for name, want := range map[string]string{
		PageFile:     "408640c0f3179d0ac097e3f016dfe24d9262b339359c85fd59caa62686069e5a",
		ReceiptFile:  "24f2bc0c4d373ec3bfea00542acd479008a827ece475477ed016ad1f965f0253",
		ReadmeFile:   "d7f694bd038534df2ff93717e02292035a0de6aec46be5df1743d8be95beb7ce",
		DataFile:     "db7ec09a93db79d51e382e5106a2d356275a525478200ad7b2ea7f31a00aaa3c",
		PurposesFile: "7e6c724ebc17db5eedbf5efc3ea4592e2f4850695bf2f9c59682b0a2843b25eb",
		KeysFile:     "192d3f9dac55db39e0193f5a774cede8ad174003e48ef81b3f240a2d7eb540d6",
	} {
		if got := hexOf(string(files[name])); got != want {
			t.Errorf("%s has the SHA-256 %s", name, got)
		}
	}
}
