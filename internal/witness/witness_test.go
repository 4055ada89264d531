package witness

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	w := newKey("witness.example/w1", 1)
	for _, prefix := range []string{"http://localhost:7380", "https://witness.example/", "https://w.example/a/b",
		"http://[::1]:1"} {
		a, err := Parse(prefix + "=" + w.vkey)
		if err != nil || a.URL != strings.TrimSuffix(prefix, "/") || a.Key != w.vkey {
			t.Errorf("%s: %+v, %v", prefix, a, err)
		}
		if want := fmt.Sprintf("witness.example/w1+%08x", w.id); a.Name() != want {
			t.Errorf("called %s, want %s", a.Name(), want)
		}
	}
	ours, err := ledger.VerifierKey("w", w.private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, says string }{
		{"", "not a URL and a key"},
		{"https://w.example", "not a URL and a key"},
		{"https://w.example=", "no public key"},
		{"https://w.example=" + w.vkey[1:], "mistyped"},
		{"https://w.example=" + ours, "not a witness's"},
		{"ftp://w.example=" + w.vkey, "http://"},
		{"w.example=" + w.vkey, "http://"},
		{"https://=" + w.vkey, "no host"},
		{"https://:80=" + w.vkey, "no host"},
		{"https://a:b@w.example=" + w.vkey, "a password"},
		{"https://a@w.example=" + w.vkey, "a password"},
		{"https://w.example?=" + w.vkey, "a query"},
		{"https://w.example#a=" + w.vkey, "a fragment"},
		{"https://w.example/a b=" + w.vkey, "written with %"},
		{"https://w.example:port=" + w.vkey, "cannot be read"},
	} {
		if a, err := Parse(tc.text); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %+v, %v", tc.text, a, err)
		}
	}
}

// serve lets a handler be the witness.
func serve(t *testing.T, k key, handler http.HandlerFunc) *Witness {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	w := New(k.address(t, s.URL+"/prefix"))
	t.Cleanup(w.Close)
	return w
}

// TestCosign: the call is what C2SP says, and each answer means what it means.
func TestCosign(t *testing.T) {
	_, k, all := answers(t)
	var a answer
	var seen []string
	w := serve(t, k, func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, r.Method+" "+r.URL.Path+" "+string(body))
		rw.WriteHeader(a.status)
		_, _ = io.WriteString(rw, a.body)
	})
	for _, a = range all {
		seen = nil
		proof := []tlog.Hash{{1}}
		line, err := w.Cosign(t.Context(), a.old, proof, signed(t, 9))
		if !a.means(err) && a.status != http.StatusNoContent {
			t.Errorf("%s: %q, %v", a.what, line, err)
		}
		want := fmt.Sprintf("POST /prefix/add-checkpoint old %d\n%s\n\n%s", a.old, proof[0], signed(t, 9))
		if len(seen) != 1 || seen[0] != want {
			t.Errorf("%s: asked %q, want %q", a.what, seen, want)
		}
	}
	if _, err := w.Cosign(t.Context(), 0, nil, []byte("no note")); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("no note: %v", err)
	}
	if _, err := w.Cosign(t.Context(), 10, nil, signed(t, 9)); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("from beyond it: %v", err)
	}
}

// TestNoRedirectIsFollowed: another place is not asked, though it would cosign.
func TestNoRedirectIsFollowed(t *testing.T) {
	text, k, _ := answers(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, k.line(1, text))
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 307, 308} {
		w := serve(t, k, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, elsewhere.URL, status)
		})
		if line, err := w.Cosign(t.Context(), 0, nil, signed(t, 9)); err == nil {
			t.Errorf("%d: %q is taken", status, line)
		}
	}
}

// TestBounds: a witness that never ends, whatever it sends, is given up.
func TestBounds(t *testing.T) {
	text, k, _ := answers(t)
	line := k.line(1, text)
	for what, handler := range map[string]http.HandlerFunc{
		"a body without an end": func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, line); err != nil {
					return
				}
			}
		},
		"large headers": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X", strings.Repeat("x", 2*maxHeaders))
			_, _ = io.WriteString(rw, line)
		},
		"half an answer": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(rw, line)
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client leaves
			<-r.Context().Done()
		},
	} {
		w := serve(t, k, handler)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		began := time.Now()
		line, err := w.Cosign(ctx, 0, nil, signed(t, 9))
		if err == nil {
			t.Errorf("%s: %q is taken", what, line)
		}
		if strings.HasPrefix(what, "a body") && !strings.Contains(fmt.Sprint(err), "more than") {
			t.Errorf("%s: read on until the time was over: %v", what, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %s", what, took)
		}
		cancel()
	}
}

// TestNobody is there, or somebody who speaks no HTTP.
func TestNobody(t *testing.T) {
	k := newKey("witness.example/w1", 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
			_ = c.Close()
		}
	}()
	w := New(k.address(t, "http://"+l.Addr().String()))
	defer w.Close()
	if line, err := w.Cosign(t.Context(), 0, nil, signed(t, 9)); err == nil {
		t.Errorf("no HTTP: %q is taken", line)
	}
	_ = l.Close()
	if line, err := w.Cosign(t.Context(), 0, nil, signed(t, 9)); err == nil {
		t.Errorf("nobody: %q is taken", line)
	}
}
