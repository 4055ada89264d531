package webtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const (
	testKey = "secret-secret-secret"
	testID  = "0198d4a2-6f3c-7b1e-9a41-5f0c8e2d7b63"
	created = `{"id":"` + testID + `","createdAt":"2026-01-02T03:04:05.000006Z","name":"a<b","n":12345678901234567890,` +
		`"total":7}`
)

func TestRun(t *testing.T) {
	run(t, "testdata/*.txt", newTestSite)
}

func newTestSite(*testing.T) *Site {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /things", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		_, pass, _ := r.BasicAuth()
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || pass != testKey {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/things/"+testID)
		w.Header()["Vary"] = []string{"Accept", "Origin"}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, created)
	})
	mux.HandleFunc("GET /things/"+testID, text(created))
	mux.HandleFunc("DELETE /things/"+testID, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/fixed", text(`{"a":1,"b":[1.0]}`+"\n"))
	mux.HandleFunc("/page", text("<html><p>"+testKey))
	mux.HandleFunc("/note", text("origin\n42\n"+testKey+"\n"))
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10)); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	mux.HandleFunc("/drop", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RequestURI, "//") {
			mux.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, r.RequestURI, " ", r.Host)
	})
	return &Site{Handler: h, Vars: map[string]string{"key": testKey}}
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

func TestFind(t *testing.T) {
	if _, err := find(filepath.Join(t.TempDir(), "*.txt")); err == nil {
		t.Error("a glob without files: no error")
	}
	if _, err := find("["); err == nil {
		t.Error("a malformed glob: no error")
	}
	if _, err := load(filepath.Join(t.TempDir(), "absent.txt")); err == nil {
		t.Error("an absent file: no error")
	}
}

// TestWrongAnswersFail plays one exchange each that expects something else than /things, /fixed and /page answer.
func TestWrongAnswersFail(t *testing.T) {
	get := "> GET /fixed\n"
	for name, c := range map[string]struct{ transcript, problem string }{
		"status":             {get + "< 201\n<*", "f:1: GET /fixed: \n\tstatus: want 201, got 200"},
		"empty body":         {get + "< 200", `body from byte 0: want "", got "{`},
		"header absent":      {get + "< 200\n< ETag: x\n<*", `header Etag: want ["x"], got []`},
		"header value":       {get + "< 200\n< content-length: 1\n<*", `Content-Length from byte 0: want "1", got "18"`},
		"header placeholder": {get + "< 200\n< Content-Type: <int>\n<*", "header Content-Type: want <int>"},
		"header present":     {get + "< 200\n< !Content-Type\n<*", "header Content-Type: want [], got"},
		"exact":              {get + "< 200\n<= {\"b\":[1.0],\"a\":1}\n<=", "body from byte 0: want"},
		"exact, line break":  {get + "< 200\n<= {\"a\":1,\"b\":[1.0]}", "body from byte 0: want"},
		"fragment":           {get + "< 200\n<~ a\n<~ c", `body does not contain "c"`},
		"text for JSON":      {get + "< 200\n<\n< ok", `body from byte 0: want "ok"`},
		"broken expectation": {get + "< 200\n<\n< {\"a\":1", "expected body is not JSON"},
		"JSON for text":      {"> GET /page\n< 200\n<\n< {}", "body is not JSON"},
		"member":             {get + "< 200\n<\n< {\"a\":2,\"b\":[1.0]}", "body /a: want 2, got 1"},
		"placeholder":        {"> GET /note\n< 200\n<\n< <uid>", "unknown placeholder <uid>"},
		"in a header":        {get + "< 200\n< Content-Type: <uid>\n<*", "unknown placeholder <uid>"},
		"in a target":        {"> GET /{{\n< 200", "f:1: GET /{{: {{ without }}"},
		"capture differs": {"> GET /things/" + testID + "\n< 200\n<\n" + `< {"id":"<any:x>","name":"<any:x>","...":"..."}`,
			`body /name: want <any:x> "` + testID + `" as before, got "a\<b"`},
		"no answer": {"> GET /drop\n< 200", "f:1: GET /drop: no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			exchanges, err := parse("f", c.transcript)
			if err != nil {
				t.Fatal(err)
			}
			errs := play(exchanges, newTestSite(t))
			want := strings.ReplaceAll(c.problem, `\<`, "<")
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
				t.Errorf("want one failure with %q, got %v", want, errs)
			}
		})
	}
}

func TestMissingAndRepeatedHeadersFail(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Vary"] = []string{"a", "b"} })
	for expected, ok := range map[string]bool{
		"< Vary: a\n< Vary: b":            true,
		"< Vary: b\n< Vary: a":            false,
		"< Vary: a":                       false,
		"< Vary: a\n< Vary: b\n< vary: c": false,
	} {
		exchanges, err := parse("f", "> GET /\n< 200\n"+expected)
		if err != nil {
			t.Fatal(err)
		}
		if errs := play(exchanges, &Site{Handler: h}); (len(errs) == 0) != ok {
			t.Errorf("%s: %v", expected, errs)
		}
	}
}

func TestUnknownVariableFailsBeforeAnythingIsSent(t *testing.T) {
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	exchanges, err := parse("f", "> GET /{{a}}\n< 200\n<\n< {\"b\":\"<any:b>\"}\n\n> GET /{{b}}\n< 200")
	if err != nil {
		t.Fatal(err)
	}
	errs := play(exchanges, &Site{Handler: h})
	if got, want := fmt.Sprint(errs), "[f:1: GET /{{a}}: unknown variable {{a}}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if exchanges, err = parse("f", "> GET /\n< 200\n< X: {{repeat:2:{{c}}}}"); err != nil {
		t.Fatal(err)
	}
	if errs := play(exchanges, &Site{Handler: h}); !strings.Contains(fmt.Sprint(errs), "unknown variable {{c}}") {
		t.Errorf("got %v", errs)
	}
}

func TestStopsWhereLaterExchangesNeedACapture(t *testing.T) {
	const needed = "> GET /fixed\n< 404\n<\n< {\"a\":\"<int:a>\",\"...\":\"...\"}\n\n"
	for later, failures := range map[string]string{
		"> GET /{{a}}\n< 200": "{{a}}",
		"> GET /page\n< 404":  "f:6: GET /page",
	} {
		exchanges, err := parse("f", needed+later)
		if err != nil {
			t.Fatal(err)
		}
		errs := play(exchanges, newTestSite(t))
		if len(errs) != 2 || !strings.Contains(errs[1].Error(), failures) {
			t.Errorf("%s: %v", later, errs)
		}
	}
}

// TestSiteVarsAreNotWritten matters where a test shares them between files that run in parallel.
func TestSiteVarsAreNotWritten(t *testing.T) {
	site := newTestSite(t)
	exchanges, err := parse("f", "> GET /fixed\n< 200\n<\n< {\"a\":\"<int:a>\",\"...\":\"...\"}")
	if err != nil {
		t.Fatal(err)
	}
	if errs := play(exchanges, site); len(errs) > 0 || len(site.Vars) != 1 {
		t.Errorf("failures %v, variables %v", errs, site.Vars)
	}
}

// TestRoundRobin: every server gets its share, one after the other.
func TestRoundRobin(t *testing.T) {
	var servers roundRobin
	for i := range 3 {
		servers.all = append(servers.all, text(fmt.Sprint(i)))
	}
	got := ""
	for range 7 {
		got += string(Do(t, &servers, "GET", "/", nil, "").Body)
	}
	if got != "1201201" {
		t.Errorf("the answers are of %s", got)
	}
}

func TestDo(t *testing.T) {
	res := Do(t, newTestSite(t).Handler, "POST", "/echo", map[string]string{"X-A": "b"}, "body")
	if res.Status != 200 || string(res.Body) != "body" || res.Header.Get("Content-Length") != "4" {
		t.Errorf("got %v", res)
	}
}
