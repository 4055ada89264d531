package evidence

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/consentd/consentd/ledger"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

//go:embed readme.txt
var readmeText string

var (
	pageTemplate   = template.Must(template.New(PageFile).Funcs(template.FuncMap{"pieces": pieces}).Parse(pageText))
	readmeTemplate = texttemplate.Must(texttemplate.New(ReadmeFile).Parse(readmeText))
	stylePolicy    = policyOf(pageStyle)
)

// policyOf lets a page have one style, and nothing else: no script, and nothing from elsewhere.
func policyOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// others are the files that are made of the data, in this order: each but the first shows the hashes of those before.
func (p *page) others() []part {
	return []part{{ReceiptFile, func(w io.Writer) error { return writeReceipt(w, p) }},
		{PageFile, func(w io.Writer) error { return pageTemplate.Execute(w, listing{p, []string{PageFile, ReadmeFile}}) }},
		{ReadmeFile, func(w io.Writer) error { return readmeTemplate.Execute(w, listing{p, []string{ReadmeFile}}) }}}
}

// listing is a page that lists all files but some: itself, and those that are made after it.
type listing struct {
	*page
	without []string
}

// Files gives the SHA-256 of the other files, in order of names.
func (l listing) Files() []named {
	out := make([]named, 0, len(l.sums))
	for _, name := range slices.Sorted(maps.Keys(l.sums)) {
		if !slices.Contains(l.without, name) {
			out = append(out, named{name, l.sums[name]})
		}
	}
	return out
}

// make writes a file, and notes its hash for those that are made after it. It is no larger than a file of a bundle may
// be: few data can make large files.
func (p *page) make(file part, to io.Writer) error {
	out := &made{to: to, sum: sha256.New()}
	if err := file.write(out); err != nil {
		return err
	}
	p.sums[file.name] = hex.EncodeToString(out.sum.Sum(nil))
	return nil
}

// made is a file while it is made.
type made struct {
	to  io.Writer
	sum interface {
		io.Writer
		Sum(to []byte) []byte
	}
	size int
}

func (m *made) Write(part []byte) (int, error) {
	if m.size += len(part); m.size > maxFile {
		return 0, ErrTooLarge
	}
	m.sum.Write(part) // which never fails
	return m.to.Write(part)
}

// sumsOf gives the SHA-256 of files in hex.
func sumsOf(files map[string][]byte) map[string]string {
	out := make(map[string]string, len(files))
	for name, content := range files {
		sum := sha256.Sum256(content)
		out[name] = hex.EncodeToString(sum[:])
	}
	return out
}

// pieces gives a text in parts, so that a large one is not escaped as a whole.
func pieces(text string) func(yield func(string) bool) {
	const most = 64 << 10
	return func(yield func(string) bool) {
		for len(text) > most {
			if !yield(text[:most]) {
				return
			}
			text = text[most:]
		}
		yield(text)
	}
}

// page is what the page shows, and the README a part of it.
type page struct {
	*Bundle
	Policy   string
	Style    template.CSS
	Origin   string
	Size     int64
	Purposes []shownVersion
	all      []facts // of the decisions; nil: they are read each time, since all of them take much memory
	versions map[versionKey]*Version
	first    map[string]int    // the numbers of the decisions that show a text
	sums     map[string]string // of the files that are made already, in hex
}

// Unproved gives what no proof covers.
func (*page) Unproved() []string { return Unproved }

// shown is a decision as the page shows it.
type shown struct {
	*Decision
	Number  int
	Facts   facts
	Chosen  string
	How     string
	Law     string
	Basis   string
	Browser string // the id by which a browser knows the person; empty: by none
	Expires string // when a yes ends; empty: never, or it is none
	Version *Version
	Name    string // of the purpose
	Text    string
	SameAs  int    // the number of the decision that shows the text; 0: this one does
	Hash    string // of the leaf
}

// shownVersion is a version of a purpose with its legal text.
type shownVersion struct {
	*Version
	Basis                   string
	Text                    string
	SameAs                  string // where its text is shown already; empty: nowhere
	TextFile, TranslateFile string
}

func pageOf(b *Bundle, all []facts) *page {
	p := &page{Bundle: b, Policy: stylePolicy, Style: template.CSS(pageStyle), all: all, versions: b.versions(),
		first: map[string]int{}, sums: map[string]string{}}
	if c, err := noted(b.Checkpoint); err == nil {
		p.Origin, p.Size = c.Origin, c.Size
	}
	for i := range b.Decisions {
		text := p.facts(i).Text
		if _, shown := p.first[text]; text != "" && !shown {
			p.first[text] = i + 1
		}
	}
	p.Purposes = purposesOf(b, p.first)
	return p
}

// facts gives what a decision says; Verify tells of what cannot be read.
func (p *page) facts(i int) *facts {
	if p.all != nil {
		return &p.all[i]
	}
	f, _, _ := factsOf(&p.Decisions[i])
	return &f
}

// Shown gives the decisions one by one.
func (p *page) Shown() func(yield func(*shown) bool) {
	return func(yield func(*shown) bool) {
		for i := range p.Decisions {
			if !yield(p.show(i)) {
				return
			}
		}
	}
}

func (p *page) show(i int) *shown {
	d, f := &p.Decisions[i], p.facts(i)
	s := &shown{Decision: d, Number: i + 1, Facts: *f, Chosen: inWords(stateWords, f.State),
		How: inWords(actionWords, f.Action), Law: inWords(regimeWords, f.Regime), Version: p.versions[f.versionKey()],
		Name: f.Purpose, Expires: f.expires()}
	if f.AnonymousID != d.Subject && f.AnonymousID != p.Person.ID {
		s.Browser = f.AnonymousID
	}
	if leaf, err := ledger.ParseLeaf(d.Leaf); err == nil {
		hash := leaf.Hash()
		s.Hash = hex.EncodeToString(hash[:])
	}
	if s.Version != nil {
		s.Basis, s.Name = inWords(basisWords, s.Version.LegalBasis), s.Version.Name
	}
	if s.SameAs = p.first[f.Text]; s.SameAs == s.Number {
		s.Text, s.SameAs = p.Texts[f.Text], 0
	}
	return s
}

// purposesOf gives the versions with their legal texts, each text once: many versions have the same. first has the
// numbers of the decisions that show a text.
func purposesOf(b *Bundle, first map[string]int) []shownVersion {
	out, where := make([]shownVersion, len(b.Versions)), map[string]string{}
	for hash, decision := range first {
		where[hash] = "decision " + strconv.Itoa(decision)
	}
	for i := range b.Versions {
		v := &b.Versions[i]
		s := shownVersion{Version: v, Basis: inWords(basisWords, v.LegalBasis)}
		if hash, ok := hashOf(v.LegalText); ok {
			s.TextFile = textFolder + hash + textSuffix
			if s.SameAs = where[hash]; s.SameAs == "" {
				s.Text = b.Texts[hash]
				where[hash] = fmt.Sprintf("version %d of %s in project %s", v.Version, v.Purpose, v.Project)
			}
		}
		if hash, ok := hashOf(v.Translations); ok {
			s.TranslateFile = textFolder + hash + textSuffix
		}
		out[i] = s
	}
	return out
}

// noted reads what a signed note says, whoever signed it.
func noted(note string) (*ledger.Checkpoint, error) {
	text, _, _ := strings.Cut(note, "\n\n")
	return ledger.ParseCheckpoint(text + "\n")
}

func versionText(n int) string { return strconv.Itoa(n) }
