package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// letter is what the tests read into.
type letter struct {
	Name  string `json:"name"`
	N     int    `json:"n"`
	Flag  bool   `json:"flag"`
	Items []item `json:"items"`
	Any   any    `json:"any"`
}

type item struct {
	ConsentState string         `json:"consentState"`
	Deep         map[string]int `json:"deep"`
}

func call(body io.Reader, header ...string) *Call {
	r := httptest.NewRequest(http.MethodPost, "/x", body)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return &Call{ResponseWriter: httptest.NewRecorder(), Request: r}
}

// ofSize pads a letter to exactly so many bytes.
func ofSize(n int) string {
	const around = `{"name":""}`
	return `{"name":"` + strings.Repeat("x", n-len(around)) + `"}`
}

func nested(depth int) string {
	return `{"any":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

func TestReadJSON(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		status     int // 0: it is read
		field      string
		says       string
	}{
		{"plain", `{"name":"a","n":1,"items":[{"consentState":"x"}]}`, 0, "", ""},
		{"spaces around", " \r\n\t{} \n", 0, "", ""},
		{"an unknown member", `{"more":{"x":[1]}}`, 0, "", ""},
		{"another case is another name", `{"Name":1}`, 0, "", ""},
		{"empty", ``, 400, "", "missing"},
		{"spaces only", "  ", 400, "", "ends too early"},
		{"cut off", `{"name":"a`, 400, "", "ends too early"},
		{"no JSON", `name=a`, 400, "", "not valid JSON at byte"},
		{"comment", `{} // x`, 400, "", "not valid JSON"},
		{"trailing comma", `{"n":1,}`, 400, "", "not valid JSON"},
		{"trailing data", `{} {}`, 400, "", "not valid JSON"},
		{"trailing word", `{}x`, 400, "", "not valid JSON"},
		{"NaN", `{"n":NaN}`, 400, "", "not valid JSON"},
		{"leading zero", `{"n":01}`, 400, "", "not valid JSON"},
		{"byte order mark", "\ufeff{}", 400, "", "not valid JSON"},
		{"duplicate member", `{"n":1,"n":2}`, 400, "n", "twice"},
		{"duplicate by escape", `{"n":1,"\u006e":2}`, 400, "n", "twice"},
		{"duplicate deep within", `{"items":[{"deep":{"x":1,"x":1}}]}`, 400, "items[0].deep.x", "twice"},
		{"duplicate in an unknown member", `{"more":{"x":1,"x":1}}`, 400, "more.x", "twice"},
		{"bad UTF-8", "{\"name\":\"\xff\"}", 400, "name", "UTF-8"},
		{"bad UTF-8 in a name", "{\"\xc3\":1}", 400, "", "UTF-8"},
		{"half a rune", "{\"name\":\"\xe2\x82\"}", 400, "name", "UTF-8"},
		{"surrogate in UTF-8", "{\"name\":\"\xed\xa0\x80\"}", 400, "name", "UTF-8"},
		{"lone surrogate", `{"name":"\ud800"}`, 400, "", "request body"},
		{"lone second surrogate", `{"name":"\udc00"}`, 400, "", "request body"},
		{"surrogates turned round", `{"name":"\udc00\ud800"}`, 400, "", "request body"},
		{"surrogates", `{"name":"\ud834\udd1e"}`, 0, "", ""},
		{"NUL", "{\"name\":\"a\x00\"}", 400, "", "NUL"},
		{"NUL between", "{\"name\":\x00\"a\"}", 400, "", "NUL"},
		{"escaped NUL", `{"name":"a\u0000"}`, 400, "", "NUL"},
		{"escaped NUL in a name", `{"a\u0000":1}`, 400, "", "NUL"},
		{"an escaped backslash before u0000", `{"name":"a\\u0000"}`, 0, "", ""},
		{"two backslashes and NUL", `{"name":"\\\u0000"}`, 400, "", "NUL"},
		{"control character", "{\"name\":\"a\x01\"}", 400, "", "request body"},
		{"escaped control character", `{"name":"a\u0001"}`, 0, "", ""},
		{"depth 32", nested(32), 0, "", ""},
		{"depth 33", nested(33), 400, "", "32 levels"},
		{"depth 32, often", `{"any":[` + strings.Repeat(strings.Repeat("[", 30)+strings.Repeat("]", 30)+",", 99) + `1]}`,
			0, "", ""},
		{"brackets in a string", `{"name":"` + strings.Repeat("[{", 99) + `"}`, 0, "", ""},
		{"very deep", strings.Repeat("[", 500_000), 400, "", "32 levels"},
		{"a list for the whole", `[]`, 400, "", "must be an object"},
		{"a string for the whole", `"x"`, 400, "", "must be an object"},
		{"a number for a string", `{"name":1}`, 400, "name", "must be a string"},
		{"an object for a string", `{"name":{}}`, 400, "name", "must be a string"},
		{"an array for a boolean", `{"flag":[]}`, 400, "flag", "must be true or false"},
		{"a string for a number", `{"n":"ada@example.com"}`, 400, "n", "must be a number"},
		{"a boolean for a string", `{"items":[{},{"consentState":true}]}`, 400, "items[1].consentState", "must be a string"},
		{"a number too large", `{"n":1e99}`, 400, "n", "must be a whole number"},
		{"a number with a fraction", `{"n":1.5}`, 400, "n", "must be a whole number"},
		{"deep within", `{"items":[{},{},{},{"deep":{"a b":"x"}}]}`, 400, "items[3].deep", "must be a number"},
		{"1 MiB", ofSize(MaxBody), 0, "", ""},
		{"1 MiB less 1", ofSize(MaxBody - 1), 0, "", ""},
		{"1 MiB and 1", ofSize(MaxBody + 1), 413, "", "1048576"},
	} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(tc.body)
			if chunked {
				body = io.MultiReader(body) // its length is not told
			}
			var v letter
			err := ReadJSON(call(body, "Content-Type", "application/json"), &v)
			if tc.status == 0 {
				if err != nil {
					t.Errorf("%s: %v", tc.name, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s is read as %+v", tc.name, v)
				continue
			}
			status, field, msg := Status(err)
			if status != tc.status || field != tc.field || !strings.Contains(msg, tc.says) {
				t.Errorf("%s: %d in %q: %s", tc.name, status, field, msg)
			}
			if strings.Contains(Message(field, msg), "ada@") {
				t.Errorf("%s: the message repeats a value: %s", tc.name, msg)
			}
		}
	}
}

func TestContentType(t *testing.T) {
	for given, fine := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "Application/JSON;charset=UTF-8": true,
		"application/vnd.api+json": true, "application/json; charset=latin1": false, "text/plain": false, "text/json": false,
		"application/x-www-form-urlencoded": false, "multipart/form-data; boundary=x": false, "json": false, ";": false,
		"application/jsonx": false,
	} {
		header := []string{"Content-Type", given}
		if given == "" {
			header = nil
		}
		err := ReadJSON(call(strings.NewReader(`{}`), header...), &letter{})
		if status := statusOf(err); fine && err != nil || !fine && (err == nil || status != 415) {
			t.Errorf("%q: %v", given, err)
		}
	}
	err := ReadJSON(call(strings.NewReader(`{}`), "Content-Encoding", "gzip"), &letter{})
	if status := statusOf(err); err == nil || status != 415 {
		t.Errorf("gzip: %v", err)
	}
}

// TestBodyThatBreaksOff: a body that ends before its length, or by an error, is no whole request.
func TestBodyThatBreaksOff(t *testing.T) {
	c := call(io.MultiReader(strings.NewReader(`{"n":1`), brokenReader{}))
	if status := statusOf(ReadJSON(c, &letter{})); status != 400 {
		t.Errorf("a body that breaks: %d", status)
	}
	c = call(strings.NewReader(`{"n":1}`))
	c.Request.ContentLength = 50
	if err := ReadJSON(c, &letter{}); err == nil {
		t.Error("a body shorter than its length is read")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) {
	return 0, errors.New("connection reset by ada@example.com")
}

// TestOversizeOverTheWire sends more than is allowed in chunks to a real server.
func TestOversizeOverTheWire(t *testing.T) {
	got := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := ReadJSON(&Call{ResponseWriter: w, Request: r}, &letter{})
		got <- err
		status := statusOf(err)
		if err == nil {
			status = 200
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	for _, tc := range []struct{ size, status int }{{MaxBody, 200}, {MaxBody + 1, 413}, {8 * MaxBody, 413}} {
		response, err := http.Post(server.URL, "application/json", io.MultiReader(strings.NewReader(ofSize(tc.size))))
		if err != nil {
			if tc.size < 2*MaxBody { // far past the limit the server may hang up
				t.Errorf("%d bytes: %v", tc.size, err)
			}
		} else {
			_ = response.Body.Close()
			if response.StatusCode != tc.status {
				t.Errorf("%d bytes: %d", tc.size, response.StatusCode)
			}
		}
		if err := <-got; tc.status == 413 && !consent.IsKind(err, consent.TooLarge) {
			t.Errorf("%d bytes: %v", tc.size, err)
		}
	}
}

func TestFieldOf(t *testing.T) {
	for pointer, want := range map[string]string{"": "", "/name": "name",
		"/items/3/consentState": "items[3].consentState", "/items/1/ada@example.com/x": "items[1]", "/0": "[0]",
		"/a/0/1": "a[0][1]"} {
		if got := fieldOf(jsontext.Pointer(pointer)); got != want {
			t.Errorf("%q is shown as %q, want %q", pointer, got, want)
		}
	}
}

// decoded is what a decoder of another make says of a body, told with the rules that it does not have.
func decoded(body []byte) (fine bool) {
	if len(body) == 0 || !utf8.Valid(body) || !json.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	depth := 0
	for {
		token, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if strings.ContainsRune(v, 0) {
				return false
			}
		}
		if depth > 32 {
			return false
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{}`, `{"name":"a\\u0000"}`, `{"name":"\u0000"}`, nested(32), nested(33),
		`{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", `[1,2`, `{"x":"\\\"["}`, "[\"\x00\"]", ` 1 `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		err := Unmarshal(bytes.Clone(body), &v)
		if err == nil {
			if !decoded(body) {
				t.Errorf("%q is read, and should not be", body)
			}
			return
		}
		if !consent.IsKind(err, consent.Invalid) {
			t.Errorf("%q: %v is no Invalid", body, err)
		}
		_, _, msg := told(err)
		stricter := strings.Contains(msg, "twice") || strings.Contains(msg, "UTF-8") ||
			bytes.Contains(bytes.ToLower(body), []byte(`\ud`))
		if decoded(body) && !stricter {
			t.Errorf("%q is refused: %v", body, err)
		}
	})
}

// FuzzScan holds the quick look for depth and NUL against the tokens.
func FuzzScan(f *testing.F) {
	for _, s := range []string{nested(32), nested(33), `{"\u0000":1}`, `["\\u0000"]`, `["\\\u0000"]`,
		"[\"[\\\"\", \"]\"]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) || !utf8.Valid(body) {
			_, _ = scan(body) // must not panic
			return
		}
		if _, err := scan(body); (err == nil) != decoded(body) {
			t.Errorf("%q: scan says %v", body, err)
		}
	})
}

func TestJSON(t *testing.T) {
	answer, err := JSON(201, map[string]any{"b": "<é>", "a": 1})
	if err != nil || answer.Status != 201 || answer.ContentType != "application/json" ||
		!strings.Contains(string(answer.Body), `"<é>"`) {
		t.Errorf("%+v, %v", answer, err)
	}
	if _, err := JSON(200, func() {}); err == nil {
		t.Error("a function was written")
	}
	for param, want := range map[string]string{"organizationId": "organization", "person_id": "person",
		"consent_type_id": "consent type"} {
		if got := nounOf(param); got != want {
			t.Errorf("%s is spoken of as %q", param, got)
		}
	}
}

// TestSendRead: a large answer takes memory of its own and gives it back; where there is none it is not sent.
func TestSendRead(t *testing.T) {
	for _, tc := range []struct {
		size     int
		full     bool
		reserved int64
		kind     consent.Kind
	}{{largeAnswer, true, 0, 0}, {largeAnswer + 1, false, largeAnswer + 1, 0},
		{largeAnswer + 1, true, largeAnswer + 1, consent.Unavailable}} {
		w := httptest.NewRecorder()
		var reserved, released int64
		c := &Call{ResponseWriter: w, Reserve: func(size int64) (func(), bool) {
			reserved += size
			return func() { released += size }, !tc.full
		}}
		err := SendRead(c, Answer{Status: 200, Body: make([]byte, tc.size)})
		if failed := err != nil; failed != (tc.kind != 0) || failed && !consent.IsKind(err, tc.kind) {
			t.Errorf("%+v: %v", tc, err)
		}
		if sent := w.Body.Len(); reserved != tc.reserved || err == nil && (released != reserved || sent != tc.size) ||
			err != nil && sent > 0 {
			t.Errorf("%+v: reserved %d, released %d, sent %d", tc, reserved, released, sent)
		}
	}
}
