package consentgrid

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

func FuzzSaveRequest(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"birthDate":"1995-04-12","country":"US"}}`, `{"id":"1","type":"user","data":{}}`, `{}`, `null`, `[]`,
		`{"data":{"n":12345678901234567890.000,"e":1E400,"s":"\u00e9\ud83d\ude00","a":[{},[]]}}`, `{"data":null}`,
		`{"data":{"a":1,"a":2}}`,
	} {
		f.Add([]byte(seed), "user", "1")
	}
	f.Fuzz(func(t *testing.T, body []byte, typ, id string) {
		var request *saveRequest
		if err := protocol.Unmarshal(body, &request); err != nil {
			if status, _, _ := protocol.Status(err); status != 400 {
				t.Fatalf("status %d for %v", status, err)
			}
			return
		}
		var given []string
		if request != nil && request.Data != nil {
			given = tokens(t, request.Data)
		}
		data, err := request.dataFor(typ, id)
		if err != nil {
			if !consent.IsKind(err, consent.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if kept := tokens(t, data); given != nil && strings.Join(kept, "\x00") != strings.Join(given, "\x00") {
			t.Fatalf("%s became %s", body, data)
		}
		if _, err := protocol.JSON(200, record{Data: data}); err != nil {
			t.Fatalf("cannot be answered: %v", err)
		}
	})
}

// tokens lists the tokens of a JSON text as another decoder sees them: names in order, numbers as written.
func tokens(t *testing.T, text []byte) []string {
	t.Helper()
	var out []string
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for d.More() {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		switch v := token.(type) {
		case json.Delim:
			out = append(out, v.String())
		case json.Number:
			out = append(out, "n"+v.String())
		case string:
			out = append(out, "s"+v)
		case bool:
			out = append(out, map[bool]string{true: "t", false: "f"}[v])
		default:
			out = append(out, "null")
		}
	}
	return out
}

func FuzzQueries(f *testing.F) {
	for _, seed := range []string{
		"", "type=user&id=1&text=a&from=0&max=100", "offset=1&limit=2", "max=1&limit=2", "max=-1", "version=3",
		"saveOption=rewrite", "string.name=a", "%zz", "text=%ff", "from=99999999999999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		filter, err := filterOf(raw)
		checkKind(t, err)
		if err == nil && (filter.Offset < 0 || filter.Limit < 1 || filter.Limit > 200 || len(filter.Text) > 256 ||
			filter.Type == "") {
			t.Fatalf("%q became %+v", raw, filter)
		}
		if filter.Name != "" && err == nil {
			if id, err := normalID(filter.Name); err != nil || id != filter.Name {
				t.Fatalf("%q became id %q", raw, filter.Name)
			}
		}
		version, err := versionOf(raw)
		checkKind(t, err)
		if version < 0 {
			t.Fatalf("%q became version %d", raw, version)
		}
		_, err = saveModeOf(raw)
		checkKind(t, err)
	})
}

func checkKind(t *testing.T, err error) {
	t.Helper()
	if err != nil && !consent.IsKind(err, consent.Invalid) {
		t.Fatal(err)
	}
}
