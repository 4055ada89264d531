package native

import (
	"bytes"
	"encoding/binary"
	csvreader "encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
)

// odd are texts that forms like to change.
var odd = []string{"plain", "", "é𝄞 \u2028", `quo"te`, `back\slash`, "a,b", "line\nbreak", "\x01\x1f\t", "=1+1", "-2",
	"</script>", " spaces ", "\U0010ffff", `{"a":"}"}`}

// sampleEvent makes an event with something, or nothing, in each place.
func sampleEvent(i int) *consent.ExportedEvent {
	e := &consent.ExportedEvent{Sequence: int64(i + 1), OccurredAt: time.UnixMicro(int64(i) * 1_000_001).UTC(),
		RecordedAt: time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC()}
	binary.BigEndian.PutUint64(e.ID[8:], uint64(i+1))
	binary.BigEndian.PutUint64(e.Subject[:], uint64(i/3+1))
	if i%2 == 0 {
		e.ExpiresAt = e.OccurredAt.AddDate(1, 0, 0)
	}
	body := map[string]any{"action": "user_click", "occurred_at": "x", "project": "p", "purpose": odd[i%len(odd)],
		"purpose_version": i%7 + 1, "regime": "opt-in", "state": "accepted"}
	if i%3 == 0 {
		e.Text, body["locale"] = odd[i%len(odd)], "de"
		body["metadata"] = map[string]any{"a": odd[i%len(odd)], "n": 1.5, "t": true}
	}
	ident := map[string]any{"anonymous_id": "x", "country": "DE", "key": e.ID.String(), "protocol": "native",
		"session":     "s",
		"identifiers": map[string]string{"email": odd[(i+1)%len(odd)], "user_id": fmt.Sprint("user-", i)}}
	if i%5 == 0 {
		ident["user_agent"], ident["ip"], ident["form_url"] = odd[i%len(odd)], "10.0.0.0", "https://a.example/?q=\"1\""
		ident["identifiers"] = map[string]string{"anonymous_id": "a", "phone": "+491", "project_user_id": odd[2]}
	}
	e.BodyJSON, e.IdentityJSON = canonicalJSON(body), canonicalJSON(ident)
	return e
}

// canonicalJSON writes JSON as RFC 8785 does, of what sampleEvent holds.
func canonicalJSON(v any) []byte {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return []byte(strings.TrimSpace(strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(b.String())))
}

// TestMembers proves that members are found as a JSON decoder finds them, whatever the texts.
func TestMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{}
		for range rapid.IntRange(0, 6).Draw(t, "members") {
			want[rapid.StringMatching(`[a-z_]{1,9}`).Draw(t, "name")] = rapid.OneOf(rapid.String(),
				rapid.SampledFrom(odd)).Draw(t, "value")
		}
		nested := rapid.Bool().Draw(t, "nested")
		object := map[string]any{}
		for name, value := range want {
			object[name] = value
		}
		if nested {
			object["identifiers"] = want
			object["number"] = 12
		}
		got := map[string]string{}
		err := eachMember(canonicalJSON(object), func(name, value []byte) {
			switch {
			case nested && string(name) == "number":
				if string(value) != "12" {
					t.Fatalf("a number is %q", value)
				}
			case nested && string(name) == "identifiers":
				inner := map[string]string{}
				err := eachMember(value, func(name, value []byte) { inner[string(name)] = string(unescape(value)) })
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(inner) != fmt.Sprint(want) {
					t.Fatalf("inside: %q, not %q", inner, want)
				}
			default:
				got[string(name)] = string(unescape(value))
			}
		})
		if nested {
			delete(want, "identifiers")
			delete(want, "number")
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v: %q, not %q", err, got, want)
		}
	})
}

// TestDamagedBlobs: what is no object of ours is an error, and never a panic.
func TestDamagedBlobs(t *testing.T) {
	e := sampleEvent(0)
	for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
		for i := range blob {
			_ = eachMember(blob[:i], func(_, value []byte) { unescape(value) })
			bent := append([]byte(nil), blob...)
			bent[i] ^= 0x5e
			_ = eachMember(bent, func(_, value []byte) { _ = eachMember(value, func(_, v []byte) { unescape(v) }) })
		}
	}
	for _, blob := range []string{"", "x", "{", `{"a"}`, `{"a":}`, `{"a":"b`, `{"a":"b"`, `{"a":{"b":1}`, `{"a":1,`} {
		if err := eachMember([]byte(blob), func(_, _ []byte) {}); err == nil {
			t.Errorf("%q is taken", blob)
		}
	}
}

// TestAppendMicros holds instants against package time.
func TestAppendMicros(t *testing.T) {
	check := func(micros int64) string {
		want := time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
		if got := string(appendMicros(nil, micros)); got != want {
			return got + ", not " + want
		}
		return ""
	}
	from, to := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		if wrong := check(day.UnixMicro()); wrong != "" {
			t.Fatal(wrong)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if wrong := check(rapid.Int64Range(from.UnixMicro(), to.UnixMicro()).Draw(t, "micros")); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

// TestNDJSON reads lines back by a JSON decoder.
func TestNDJSON(t *testing.T) {
	var out strings.Builder
	w := newNDJSON(eventColumns, &out)
	cells := make([]cell, len(eventColumns))
	const n = 60
	for i := range n {
		if err := fillEvent(cells, sampleEvent(i)); err != nil {
			t.Fatal(err)
		}
		_ = w.row(cells)
	}
	_ = w.end()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != n+1 || lines[n] != `{"end":true,"count":60}` {
		t.Fatalf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	for i, line := range lines[:n] {
		var got struct {
			ID, OccurredAt, Purpose string
			Sequence                int64
			Identifiers             map[string]string
			Metadata                map[string]any
			ExpiresAt               *string
			Source                  map[string]string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		e := sampleEvent(i)
		if got.ID != e.ID.String() || got.Sequence != e.Sequence || got.Purpose != odd[i%len(odd)] ||
			(got.ExpiresAt != nil) != !e.ExpiresAt.IsZero() || (got.Metadata != nil) != (i%3 == 0) ||
			got.Source["protocol"] != "native" || (len(got.Identifiers) == 3) != (i%5 == 0) {
			t.Errorf("%s", line)
		}
	}
}

// TestCSV reads an export back by the standard library's reader, and holds every cell against NDJSON.
func TestCSV(t *testing.T) {
	const n = 100
	rows, err := csvreader.NewReader(bytes.NewReader(exported(t, newCSV, n))).ReadAll()
	if err != nil || len(rows) != n+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	lines := bytes.Split(exported(t, newNDJSON, n), []byte("\n"))
	for i, row := range rows[1:] {
		decoder := json.NewDecoder(bytes.NewReader(lines[i]))
		decoder.UseNumber()
		var members map[string]any
		if err := decoder.Decode(&members); err != nil {
			t.Fatal(err)
		}
		for at := range eventColumns {
			want := memberOf(members, &eventColumns[at])
			if want == "absent" {
				want = ""
			}
			if want != "" && strings.ContainsRune("=+-@\t\r", rune(want[0])) {
				want = "'" + want
			}
			if row[at] != want || rows[0][at] != eventColumns[at].path() {
				t.Errorf("row %d, %s: %q, not %q", i, rows[0][at], row[at], want)
			}
		}
	}
	for text, want := range map[string]string{"plain": "plain", "": "", "a,b": `"a,b"`, `a"b`: `"a""b"`,
		"a\nb": "\"a\nb\"", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "\ra": "\"'\ra\"",
		"a=1": "a=1", "=\"x\"": `"'=""x"""`, "'=1": "'=1"} {
		if got := string(appendField(nil, []byte(text))); got != want {
			t.Errorf("%q is written %q, not %q", text, got, want)
		}
	}
}

// exported gives an export of sample events in a form.
func exported(t *testing.T, rows func([]column, io.Writer) rowWriter, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, cells := rows(eventColumns, &out), make([]cell, len(eventColumns))
	for i := range n {
		if err := fillEvent(cells, sampleEvent(i)); err != nil {
			t.Fatal(err)
		}
		if err := w.row(cells); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// memberOf gives the member of a row that is a column's.
func memberOf(row map[string]any, c *column) string {
	if c.group != "" {
		row, _ = row[c.group].(map[string]any)
	}
	switch v := row[c.name].(type) {
	case nil:
		return "absent"
	case map[string]any:
		return string(canonicalJSON(v))
	default:
		return fmt.Sprint(v)
	}
}
