package evidence

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
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
	pageTemplate   = template.Must(template.New(PageFile).Parse(pageText))
	readmeTemplate = texttemplate.Must(texttemplate.New(ReadmeFile).Parse(readmeText))
	stylePolicy    = policyOf(pageStyle)
)

// policyOf lets a page have one style, and nothing else: no script, and nothing from elsewhere.
func policyOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// render gives all files of a bundle by name.
func render(b *Bundle) (map[string][]byte, error) {
	data, purposes, keys, err := b.encoded()
	if err != nil {
		return nil, fmt.Errorf("write the data of a bundle: %w", err)
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

// renderOthers adds to files of data what is made of them. Each but the first shows the hashes of those before.
func renderOthers(b *Bundle, all []facts, files map[string][]byte) (err error) {
	if files[ReceiptFile], err = renderReceipt(b, all); err != nil {
		return fmt.Errorf("write %s: %w", ReceiptFile, err)
	}
	p := pageOf(b, all)
	p.Files = hashesOf(files)
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		return fmt.Errorf("write %s: %w", PageFile, err)
	}
	files[PageFile] = out.Bytes()
	p.Files = hashesOf(files)
	var readme bytes.Buffer
	if err := readmeTemplate.Execute(&readme, p); err != nil {
		return fmt.Errorf("write %s: %w", ReadmeFile, err)
	}
	files[ReadmeFile] = readme.Bytes()
	return nil
}

// hashesOf gives the SHA-256 of files in hex, in order of names.
func hashesOf(files map[string][]byte) []named {
	out := make([]named, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		out = append(out, named{name, hex.EncodeToString(sum[:])})
	}
	return out
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
	Files    []named
	NoText   bool // of some decision no text was given
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
	for i := range b.Versions {
		v := &b.Versions[i]
		s := shownVersion{Version: v, Basis: inWords(basisWords, v.LegalBasis)}
		if hash, ok := hashOf(v.LegalText); ok {
			s.Text, s.TextFile = b.Texts[hash], textFolder+hash+textSuffix
		}
		if hash, ok := hashOf(v.Translations); ok {
			s.TranslateFile = textFolder + hash + textSuffix
		}
		p.Purposes = append(p.Purposes, s)
	}
	return p
}

// noted reads what a signed note says, whoever signed it.
func noted(note string) (*ledger.Checkpoint, error) {
	text, _, _ := strings.Cut(note, "\n\n")
	return ledger.ParseCheckpoint(text + "\n")
}

func versionText(n int) string { return strconv.Itoa(n) }
