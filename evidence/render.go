package evidence

import (
	"bytes"
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

// render gives all files of a bundle by name. An error wraps ErrTooLarge where one of them is none that Verify reads.
func render(b *Bundle) (map[string][]byte, error) {
	data, purposes, keys, err := b.encoded()
	if err != nil {
		return nil, fmt.Errorf("write the data of a bundle: %w", err)
	}
	if hasLongLine(data) || hasLongLine(purposes) || hasLongLine(keys) {
		return nil, ErrTooLarge
	}
	files := map[string][]byte{DataFile: data, PurposesFile: purposes, KeysFile: keys}
	for hash, text := range b.Texts {
		files[textFolder+hash+textSuffix] = []byte(text)
	}
	all := make([]facts, len(b.Decisions))
	for i := range b.Decisions {
		all[i], _, _ = factsOf(&b.Decisions[i]) // Verify tells of what cannot be read
	}
	return files, renderOthers(b, all, files)
}

// others are the files that are made of the data, in this order: each but the first shows the hashes of those before.
var others = [...]struct {
	name  string
	write func(io.Writer, *page) error
}{{ReceiptFile, writeReceipt},
	{PageFile, func(w io.Writer, p *page) error { return pageTemplate.Execute(w, p) }},
	{ReadmeFile, func(w io.Writer, p *page) error { return readmeTemplate.Execute(w, p) }}}

// renderOthers adds to files of data what is made of them. An error wraps ErrTooLarge where one of them would be larger
// than a bundle may have it.
func renderOthers(b *Bundle, all []facts, files map[string][]byte) error {
	p := pageOf(b, all)
	p.sums = sumsOf(files)
	for _, other := range others {
		var out bytes.Buffer
		if err := p.make(other.name, other.write, &out); err != nil {
			return fmt.Errorf("write %s: %w", other.name, err)
		}
		files[other.name] = out.Bytes()
	}
	return nil
}

// make writes a file that is made of the data, and notes its hash for those that are made after it.
func (p *page) make(name string, write func(io.Writer, *page) error, to io.Writer) error {
	out := &made{to: to, sum: sha256.New()}
	if err := write(out, p); err != nil {
		return err
	}
	p.sums[name] = hex.EncodeToString(out.sum.Sum(nil))
	return nil
}

// made is a file while it is made. It takes no more than a file of a bundle may have: few data can make large files.
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
	Shown    []shown
	Purposes []shownVersion
	NoText   bool              // of some decision no text was given
	sums     map[string]string // of the files that are made already, in hex
}

// Unproved gives what no proof covers.
func (*page) Unproved() []string { return Unproved }

// Files gives the SHA-256 of the files that are made already, in order of names.
func (p *page) Files() []named {
	out := make([]named, 0, len(p.sums))
	for _, name := range slices.Sorted(maps.Keys(p.sums)) {
		out = append(out, named{name, p.sums[name]})
	}
	return out
}

// shown is a decision as the page shows it.
type shown struct {
	*Decision
	Number  int
	Facts   facts
	Chosen  string
	How     string
	Law     string
	Basis   string
	Version *Version
	Name    string // of the purpose
	Text    string
	SameAs  int // the number of the decision that shows the text; 0: this one does
	Leaf    string
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
	p := &page{Bundle: b, Policy: stylePolicy, Style: template.CSS(pageStyle)}
	if c, err := noted(b.Checkpoint); err == nil {
		p.Origin, p.Size = c.Origin, c.Size
	}
	versions, first := b.versions(), map[string]int{}
	p.Shown = make([]shown, len(b.Decisions))
	for i := range b.Decisions {
		f := &all[i]
		s := shown{Decision: &b.Decisions[i], Number: i + 1, Facts: *f, Chosen: inWords(stateWords, f.State),
			How: inWords(actionWords, f.Action), Law: inWords(regimeWords, f.Regime), Version: versions[f.versionKey()],
			Name: f.Purpose, Leaf: hex.EncodeToString(b.Decisions[i].Leaf)}
		if leaf, err := ledger.ParseLeaf(s.Decision.Leaf); err == nil {
			hash := leaf.Hash()
			s.Hash = hex.EncodeToString(hash[:])
		}
		if s.Version != nil {
			s.Basis, s.Name = inWords(basisWords, s.Version.LegalBasis), s.Version.Name
		}
		if s.SameAs = first[f.Text]; s.SameAs == 0 && f.Text != "" {
			s.Text, first[f.Text] = b.Texts[f.Text], s.Number
		}
		p.NoText = p.NoText || f.Text == ""
		p.Shown[i] = s
	}
	p.Purposes = purposesOf(b, first)
	return p
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
