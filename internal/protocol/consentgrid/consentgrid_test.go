package consentgrid

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// TestDataFor proves "Numbers keep their text form" and that members keep their order.
func TestDataFor(t *testing.T) {
	for _, tc := range []struct{ body, typ, id, want, wrong string }{
		{`{}`, "user", "1", `{}`, ""},
		{`{"data":{}}`, "user", "", `{}`, ""},
		{`{"id":null,"type":null}`, "user", "", `{}`, ""},
		{`{"id":"1","type":"user","data":{"z":12345678901234567890.10, "a":[1E2,-0]}}`, "user", "1",
			`{"z":12345678901234567890.10,"a":[1E2,-0]}`, ""},
		{`{"data":{"a":"\u00e9\/\u003c"}}`, "user", "1", `{"a":"é/<"}`, ""},
		{`{"data":null}`, "user", "1", "", "data"},
		{`{"data":[]}`, "user", "1", "", "data"},
		{`{"data":"{}"}`, "user", "1", "", "data"},
		{`{"id":"\ufeff1 "}`, "user", "1", `{}`, ""},
		{`{"id":"Zoe\u0308"}`, "user", "Zoë", `{}`, ""},
		{`{"id":"1\u200b1"}`, "user", "11", "", "id"},
		{`{"id":"2"}`, "user", "1", "", "id"},
		{`{"id":"2"}`, "user", "", "", "id"},
		{`{"id":""}`, "user", "", "", "id"},
		{`{"type":"User"}`, "user", "1", "", "type"},
		{`null`, "user", "1", "", ""},
	} {
		var request *saveRequest
		if err := protocol.Unmarshal([]byte(tc.body), &request); err != nil {
			t.Fatal(err)
		}
		data, err := request.dataFor(tc.typ, tc.id)
		if got := string(data); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.body, got, tc.want)
		}
		if (err != nil) != (tc.want == "") || err != nil && consent.AsError(err).Field != tc.wrong {
			t.Errorf("%s: error %v, want one about %q", tc.body, err, tc.wrong)
		}
	}
}

func TestFilterOf(t *testing.T) {
	all := consent.SubjectFilter{Type: "user", Limit: 100}
	for _, tc := range []struct {
		query string
		want  consent.SubjectFilter
	}{
		{"", all},
		{"type=&id=&text=", all},
		{"unknown=1", all},
		{"id=+Zoe%CC%88%EF%BB%BF", consent.SubjectFilter{Type: "user", Name: "Zoë", Limit: 100}},
		{"type=pet&id=a%20b&text=Zo%C3%AB", consent.SubjectFilter{Type: "pet", Name: "a b", Text: "Zoë", Limit: 100}},
		{"from=5&max=7", consent.SubjectFilter{Type: "user", Offset: 5, Limit: 7}},
		{"offset=5&limit=7", consent.SubjectFilter{Type: "user", Offset: 5, Limit: 7}},
		{"from=5&offset=5&max=7&limit=7", consent.SubjectFilter{Type: "user", Offset: 5, Limit: 7}},
		{"max=201", consent.SubjectFilter{Type: "user", Limit: 200}},
		{"max=99999999999999999999&from=99999999999999999999",
			consent.SubjectFilter{Type: "user", Offset: 1<<31 - 1, Limit: 200}},
	} {
		got, err := filterOf(tc.query)
		if err != nil {
			t.Errorf("%q: %v", tc.query, err)
		} else if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%q: -want +got\n%s", tc.query, d)
		}
	}
}

func TestQueriesRefused(t *testing.T) {
	for _, query := range []string{
		"max=0", "max=-1", "max=", "max=x", "max=1.5", "max=%2B1", "limit=0", "from=-1", "from=x", "offset=",
		"max=1&limit=2", "from=1&offset=2", "max=1&max=2", "type=a&type=b", "id=a&id=b", "text=a&text=b",
		"id=a%2Fb", "id=%00", "id=%ff", "id=" + strings.Repeat("a", 257),
		"text=%00", "text=%ff", "text=" + strings.Repeat("a", 257), "string.name=a", "number.age=1", "%zz", "a;b",
	} {
		if filter, err := filterOf(query); !consent.IsKind(err, consent.Invalid) {
			t.Errorf("list %q: %+v, %v", query, filter, err)
		}
	}
	for _, query := range []string{"version=0", "version=-1", "version=", "version=x", "version=1&version=2", "%zz"} {
		if n, err := versionOf(query); !consent.IsKind(err, consent.Invalid) {
			t.Errorf("read %q: %d, %v", query, n, err)
		}
	}
	for _, query := range []string{"saveOption=", "saveOption=Merge", "saveOption=overwrite",
		"saveOption=merge&saveOption=rewrite", "%zz"} {
		if mode, err := saveModeOf(query); !consent.IsKind(err, consent.Invalid) {
			t.Errorf("save %q: %d, %v", query, mode, err)
		}
	}
}

func TestSaveMode(t *testing.T) {
	for query, want := range map[string]consent.SaveMode{
		"": consent.Merge, "saveOption=merge": consent.Merge, "saveOption=rewrite": consent.Rewrite,
		"saveOption=rewrite&saveOption=rewrite": consent.Rewrite,
	} {
		if got, err := saveModeOf(query); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", query, got, err, want)
		}
	}
}
