package native

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

const goodLine = `{"externalId":"r1","identifiers":{"userId":"u"},"purpose":"marketing","state":"accepted",` +
	`"occurredAt":"2028-02-29T00:00:00Z"}`

// readChunks gives all parts of a body of lines, of which those before next are done.
func readChunks(t testing.TB, body string, from, next int64) (chunks []*consent.ImportChunk, err error) {
	t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	lines, err := protocol.ReadLines(&protocol.Call{ResponseWriter: httptest.NewRecorder(), Request: r})
	if err != nil {
		t.Fatal(err)
	}
	for chunk, err := range (&lineReader{lines: lines, from: from}).chunks(next) {
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

// TestChunks: parts follow each other without gaps, and have a bounded number of lines and bytes.
func TestChunks(t *testing.T) {
	t.Parallel()
	padded := strings.Repeat(goodLine+strings.Repeat(" ", 1<<10)+"\n", 3000)
	for what, tc := range map[string]struct {
		body       string
		from, next int64
		lines      int // that are not done nor blank
		end        int64
		fails      bool
	}{
		"nothing":         {"", 1, 1, 0, 1, false},
		"many":            {strings.Repeat(goodLine+"\n", 2500), 1, 1, 2500, 2501, false},
		"as many as fit":  {strings.Repeat(goodLine+"\n", 1000), 7, 1, 1000, 1007, false},
		"all done":        {strings.Repeat(goodLine+"\n", 2500), 1, 2501, 0, 2501, false},
		"some done":       {strings.Repeat(goodLine+"\n", 2500), 1, 2001, 500, 2501, false},
		"blank":           {strings.Repeat("\n", 2500), 1, 1, 0, 2501, false},
		"wide":            {padded, 1, 1, 3000, 3001, false},
		"20,000":          {strings.Repeat("\n", maxLines), 5, 1, 0, maxLines + 5, false},
		"more":            {strings.Repeat("\n", maxLines+1), 5, 1, 0, maxLines + 5, true},
		"far more, valid": {strings.Repeat(goodLine+"\n", maxLines+500), 1, 1, maxLines, maxLines + 1, true},
	} {
		chunks, err := readChunks(t, tc.body, tc.from, tc.next)
		at, lines := tc.from, 0
		for _, c := range chunks {
			if c.From != at || c.Next <= c.From || len(c.Lines) > consent.MaxImportChunk || tc.body == padded &&
				c.Next-c.From > 500 {
				t.Errorf("%s: from %d before %d with %d lines, behind %d", what, c.From, c.Next, len(c.Lines), at)
			}
			at, lines = c.Next, lines+len(c.Lines)
		}
		if at != tc.end || lines != tc.lines || (err != nil) != tc.fails {
			t.Errorf("%s: %d lines up to %d, %v", what, lines, at, err)
		}
	}
}

// FuzzImportLine: a line is refused with a place in it, or makes one decision that the core can be asked about. What it
// says stands in no error.
func FuzzImportLine(f *testing.F) {
	for _, seed := range []string{goodLine, `{}`, `null`, `[]`, `{"externalId":7}`, `{"externalId":""}`, `{"state":"secret"}`,
		`{"x":1}`, `{"identifiers":{"userId":"secret","userId":"b"}}`, `{"identifiers":{"x":"secret"}}`,
		`{"metadata":{"x":["secret"]}}`, `{"evidence":{"ip":"secret"}}`, "\xff", `{"occurredAt":"secret"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 || len(raw) > protocol.MaxLine {
			return // which no line is
		}
		line := readLine(raw)
		if line.Fault != nil {
			if p := pointerTo(line.Fault.Field); line.Fault.Msg == "" || strings.Contains(line.Fault.Error(), "secret") ||
				p != "" && !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "/items") {
				t.Fatalf("%v at %q", line.Fault, p)
			}
			return
		}
		if d := line.Item.Decisions; len(d) != 1 || d[0].State == 0 || d[0].Action == 0 || line.Digest == [32]byte{} {
			t.Fatalf("%s became %+v", raw, line)
		}
	})
}
