package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Paths that the site serves, as the document writes them. The document's own is in no protocol's hands, though its
// first segment is.
const (
	DocumentPath = "/api/openapi.json"
	pagePath     = "/docs"
	assetPath    = "/docs/assets/{asset}"
	errorPath    = "/docs/errors/{name}"
)

// policy lets a page load from this server alone, and nobody frame it. What scripts set on an element's style they may.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Problem is a type of problem that the native API's errors name.
type Problem struct {
	Name    string // the last segment of the type
	Status  int
	Meaning string
	ToDo    string // what the caller can do about it
}

// StatusText is the status in words.
func (p Problem) StatusText() string { return http.StatusText(p.Status) }

// Site serves the document, the page that shows it and those that explain errors. It may be used at once.
type Site struct{ pages map[string]page }

// page is one answer.
type page struct {
	route   string // of the paths in the document
	kind    string // its Content-Type
	etag    string
	content []byte
	zipped  bool // content is compressed by gzip
}

//go:embed pages/*.html
var templates embed.FS

//go:embed assets
var assets embed.FS

// kinds are the assets with their Content-Types.
var kinds = map[string]string{
	"swagger-ui-bundle.js":             "text/javascript; charset=utf-8",
	"swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
	"swagger-ui.css":                   "text/css; charset=utf-8",
	"start.js":                         "text/javascript; charset=utf-8",
	"docs.css":                         "text/css; charset=utf-8",
}

const htmlType = "text/html; charset=utf-8"

// New makes the site. What it serves is part of the program: it panics where that is broken.
func New(problems []Problem) *Site {
	s := &Site{pages: map[string]page{}}
	document, err := Document()
	if err != nil {
		panic(err)
	}
	s.add(DocumentPath, page{route: DocumentPath, kind: "application/json", content: document})
	pages := template.Must(template.ParseFS(templates, "pages/*.html"))
	s.add(pagePath, page{route: pagePath, kind: htmlType, content: render(pages, "docs.html", nil)})
	for _, p := range problems {
		s.add("/docs/errors/"+p.Name, page{route: errorPath, kind: htmlType, content: render(pages, "error.html", p)})
	}
	for name, kind := range kinds {
		p := page{route: assetPath, kind: kind}
		if p.content, err = assets.ReadFile("assets/" + name); err != nil {
			p.content, err = assets.ReadFile("assets/" + name + ".gz")
			p.zipped = true
		}
		if err != nil {
			panic(err)
		}
		s.add("/docs/assets/"+name, p)
	}
	return s
}

func (s *Site) add(path string, p page) {
	sum := sha256.Sum256(p.content)
	p.etag = `"` + hex.EncodeToString(sum[:12]) + `"`
	s.pages[path] = p
}

func render(pages *template.Template, name string, with any) []byte {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, with); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Route gives the path in the document that a path is of; "": the site does not serve it.
func (s *Site) Route(path string) string { return s.pages[path].route }

// ServeHTTP implements http.Handler for GET and HEAD of the paths that have a route.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := s.pages[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // it may be kept, and is asked for anew
	if p.kind == htmlType {
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
	}
	content, etag := p.content, p.etag
	if p.zipped {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			etag = strings.TrimSuffix(etag, `"`) + `-gzip"`
		} else {
			content = unzipped(content)
		}
	}
	h.Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3). What is malformed takes nothing.
func takesGzip(accepts string) bool {
	for coding := range strings.SplitSeq(accepts, ",") {
		name, weight, weighed := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(weight)), "q="), 64)
			return !weighed || err == nil && q > 0
		}
	}
	return false
}

func unzipped(content []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err) // a test reads them all
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return plain
}
