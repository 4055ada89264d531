package openapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/openapi"
)

func get(t *testing.T, site *openapi.Site, path, encoding string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w
}

// TestAssetsAreThePublished: what a browser runs is what was published, to the byte.
func TestAssetsAreThePublished(t *testing.T) {
	site := openapi.New(nil)
	script, err := os.ReadFile("../../scripts/swagger-ui.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"swagger-ui-bundle.js", "swagger-ui.css"} {
		path := "/docs/assets/" + name
		plain, zipped := get(t, site, path, ""), get(t, site, path, "br, gzip")
		sum := sha256.Sum256(plain.Body.Bytes())
		if !strings.Contains(string(script), hex.EncodeToString(sum[:])+"  "+name+"\n") {
			t.Errorf("%s is not what scripts/swagger-ui.sh fetches", name)
		}
		if zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" ||
			zipped.Body.Len()*3 > plain.Body.Len() || zipped.Header().Get("ETag") == plain.Header().Get("ETag") {
			t.Errorf("%s: %d bytes, compressed %d: %v", name, plain.Body.Len(), zipped.Body.Len(), zipped.Header())
		}
	}
}

// TestCompressedWhereTaken: what a client refuses by a weight of 0 it does not get (RFC 9110, section 12.5.3).
func TestCompressedWhereTaken(t *testing.T) {
	for accepts, want := range map[string]string{"GZip": "gzip", "br;q=1, gzip;q=0.5": "gzip", "gzip ; q=1": "gzip",
		"gzip;q=0": "", "gzip;q=0.000, identity": "", "gzip;q=x": "", "x-gzipped": ""} {
		got := get(t, openapi.New(nil), "/docs/assets/swagger-ui.css", accepts).Header().Get("Content-Encoding")
		if got != want {
			t.Errorf("Accept-Encoding %q: %q", accepts, got)
		}
	}
}

// TestPagesAreConfined: a page runs nothing that is not of this server, and nobody frames it.
func TestPagesAreConfined(t *testing.T) {
	site := openapi.New([]openapi.Problem{{Name: "odd", Status: 409, Meaning: "<b>A</b>", ToDo: "B"}})
	for _, path := range []string{"/docs", "/docs/errors/odd"} {
		h := get(t, site, path, "").Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") ||
			strings.Contains(policy, "http") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
	body := get(t, site, "/docs/errors/odd", "").Body.String()
	for _, text := range []string{"odd", "409", "Conflict", "&lt;b&gt;A&lt;/b&gt;", "B"} {
		if !strings.Contains(body, text) {
			t.Errorf("the page of an error does not say %q", text)
		}
	}
}
