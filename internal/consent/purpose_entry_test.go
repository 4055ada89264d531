package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawPurpose(t *rapid.T) *Purpose {
	return &Purpose{ID: drawID(t, "id"), Key: drawText(t, "key") + "k",
		Version:    rapid.IntRange(1, 1000).Draw(t, "version"),
		Taxonomy:   Taxonomy{drawText(t, "category"), drawText(t, "subcategory"), drawText(t, "label")},
		Name:       drawText(t, "name"),
		URL:        drawText(t, "url"),
		LegalBasis: rapid.SampledFrom(LegalBases).Draw(t, "basis"), Status: "active", Duration: DefaultDuration,
		Description:  drawText(t, "description"),
		DocumentHash: rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "document"), ReadOnly: rapid.Bool().Draw(t, "read only"),
		ValidStates: defaultStates, Required: rapid.Bool().Draw(t, "required"), HeldFrom: drawMicros(t, "held"),
		RequireReaccept: rapid.Bool().Draw(t, "reaccept"), Revision: rapid.IntRange(1, 1<<30).Draw(t, "revision")}
}

// TestPurposeEntries: an entry of a purpose is canonical, names its version, and agrees with the purpose that it is of.
func TestPurposeEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Actor{Organization: drawID(t, "organization"), Key: drawID(t, "by")}
		project, p := drawID(t, "project"), drawPurpose(t)
		e := a.PurposeEntry(project, p)
		if e.Kind != PurposeEntry || e.Subject != NoID || e.Organization != a.Organization {
			t.Fatalf("%+v", e)
		}
		for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
			if want := canonicalByLibrary(t, blob); string(blob) != want {
				t.Fatalf("it reads\n%s, canonical is\n%s", blob, want)
			}
		}
		name, err := ReadPurpose(e.BodyJSON)
		if want := (PurposeName{project.String(), p.Key, p.Version}); name != want || err != nil {
			t.Fatalf("it names %+v, want %+v (%v)", name, want, err)
		}
		was := p.CurrentVersion()
		err = errors.Join(CheckPurpose(e.BodyJSON, project, p), CheckVersion(e.BodyJSON, project, p, &was))
		if err != nil {
			t.Fatalf("of itself it says %v", err)
		}
	})
}

// purposeChanges change each one member of an entry; true: of every version.
var purposeChanges = map[string]struct {
	change    func(*Purpose)
	ofVersion bool
}{
	"category":         {func(p *Purpose) { p.Taxonomy.Category = "x" }, false},
	"subcategory":      {func(p *Purpose) { p.Taxonomy.Subcategory = "x" }, false},
	"label":            {func(p *Purpose) { p.Taxonomy.Label = "x" }, false},
	"description":      {func(p *Purpose) { p.Description = "x" }, true},
	"duration":         {func(p *Purpose) { p.Duration = "P1D" }, false},
	"held_from":        {func(p *Purpose) { p.HeldFrom = noon.Add(time.Microsecond) }, true},
	"legal_basis":      {func(p *Purpose) { p.LegalBasis = BasisContract }, true},
	"legal_text":       {func(p *Purpose) { p.DocumentHash = []byte{1} }, true},
	"name":             {func(p *Purpose) { p.Name = "x" }, true},
	"purpose":          {func(p *Purpose) { p.Key = "x" }, true},
	"purpose_id":       {func(p *Purpose) { p.ID = ID{9} }, true},
	"read_only":        {func(p *Purpose) { p.ReadOnly = true }, false},
	"require_reaccept": {func(p *Purpose) { p.RequireReaccept = true }, true},
	"required":         {func(p *Purpose) { p.Required = true }, false},
	"revision":         {func(p *Purpose) { p.Revision++ }, false},
	"status":           {func(p *Purpose) { p.Status = "archived" }, false},
	"translations":     {func(p *Purpose) { p.TextsHash = []byte{1} }, true},
	"url":              {func(p *Purpose) { p.URL = "https://x.example" }, true},
	"valid_states":     {func(p *Purpose) { p.ValidStates = defaultStates[:1] }, false},
	"version":          {func(p *Purpose) { p.Version++ }, true},
}

// TestCheckPurpose: each member of a purpose that is on record otherwise than its entry says is named, and of a version
// that was, each that versions have.
func TestCheckPurpose(t *testing.T) {
	for field, c := range purposeChanges {
		p := Purpose{ID: ID{1}, Key: "k", Version: 2, Taxonomy: Taxonomy{"a", "b", "c"}, Name: "n",
			LegalBasis: BasisConsent, Status: "active", Duration: "P1Y", ValidStates: defaultStates, HeldFrom: noon, Revision: 3}
		body := Actor{}.PurposeEntry(ID{5}, &p).BodyJSON
		c.change(&p)
		var differs *Mismatch
		if err := CheckPurpose(body, ID{5}, &p); !errors.As(err, &differs) || differs.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		v := p.CurrentVersion()
		err := CheckVersion(body, ID{5}, &p, &v)
		if found := errors.As(err, &differs) && differs.Field == field; found != c.ofVersion || !found && err != nil {
			t.Errorf("%s, of a version: %v", field, err)
		}
	}
	p := Purpose{Key: "k", Version: 1}
	if err := CheckPurpose(Actor{}.PurposeEntry(ID{5}, &p).BodyJSON, ID{6}, &p); err == nil {
		t.Error("another project")
	}
}

// TestKeyEntries: an entry of a key is canonical, names the key, and holds neither its name nor anything of its secret.
func TestKeyEntries(t *testing.T) {
	secret := sha256.Sum256([]byte("a secret")) // of which no id that is drawn has eight bytes
	told := hex.EncodeToString(secret[:8])
	rapid.Check(t, func(t *rapid.T) {
		a := Actor{Organization: drawID(t, "organization"), Key: drawID(t, "by")}
		k := Key{ID: drawID(t, "id"), Name: "Ada's laptop", SecretHash: secret,
			CreatedAt: drawMicros(t, "created"),
			Scopes:    rapid.SliceOfDistinct(rapid.SampledFrom(AllScopes), rapid.ID).Draw(t, "scopes"),
			RevokedAt: drawMicros(t, "revoked")}
		if rapid.Bool().Draw(t, "expires") {
			k.ExpiresAt = drawMicros(t, "expiry")
		}
		made, ended := a.KeyEntry(&k), a.KeyRevocationEntry(&k)
		for _, e := range []LedgerEntry{made, ended} {
			for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
				if want := canonicalByLibrary(t, blob); string(blob) != want {
					t.Fatalf("it reads\n%s, canonical is\n%s", blob, want)
				}
				if bytes.Contains(blob, []byte("laptop")) || bytes.Contains(blob, []byte(told)) {
					t.Fatalf("it tells %s", blob)
				}
			}
			if id, err := ReadKey(e.BodyJSON); id != k.ID || err != nil || e.Subject != NoID {
				t.Fatalf("it names %s (%v)", id, err)
			}
		}
		if err := errors.Join(CheckKey(made.BodyJSON, &k), CheckRevocation(ended.BodyJSON, &k)); err != nil {
			t.Fatalf("of itself it says %v", err)
		}
	})
}

// TestCheckKey: what is on record of a key otherwise than its entries say is named.
func TestCheckKey(t *testing.T) {
	for field, change := range map[string]func(*Key){
		"created_at": func(k *Key) { k.CreatedAt = noon.Add(time.Microsecond) },
		"expires_at": func(k *Key) { k.ExpiresAt = noon },
		"key_id":     func(k *Key) { k.ID = ID{2} },
		"scopes":     func(k *Key) { k.Scopes = AllScopes[:2] },
		"revoked_at": func(k *Key) { k.RevokedAt = time.Time{} },
	} {
		k := Key{ID: ID{1}, Scopes: AllScopes[:1], CreatedAt: noon, RevokedAt: noon}
		made, ended := Actor{}.KeyEntry(&k).BodyJSON, Actor{}.KeyRevocationEntry(&k).BodyJSON
		change(&k)
		err := CheckKey(made, &k)
		if field == "revoked_at" {
			err = CheckRevocation(ended, &k)
		}
		var differs *Mismatch
		if !errors.As(err, &differs) || differs.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// FuzzReadEntries: whatever stands where the entry of a purpose or a key is, it is read or refused, and compared.
func FuzzReadEntries(f *testing.F) {
	p, k := Purpose{Key: "k", Version: 1}, Key{ID: ID{1}}
	f.Add(Actor{}.PurposeEntry(ID{5}, &p).BodyJSON)
	f.Add(Actor{}.KeyEntry(&k).BodyJSON)
	f.Add(Actor{}.KeyRevocationEntry(&k).BodyJSON)
	f.Add([]byte("null"))
	f.Add([]byte(`{"entry":"purpose","version":0}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		name, err := ReadPurpose(body)
		if err == nil && name.Version < 1 {
			t.Errorf("%s names version %d", body, name.Version)
		}
		if err := CheckPurpose(body, ID{5}, &p); err == nil && !bytes.Contains(body, []byte(`"purpose"`)) {
			t.Errorf("%s is said to be a purpose's", body)
		}
		if id, err := ReadKey(body); err == nil && !bytes.Contains(bytes.ToLower(body), []byte("key")) {
			t.Errorf("%s names %s", body, id)
		}
		if err := CheckKey(body, &k); err == nil && !bytes.Contains(body, []byte(k.ID.String())) {
			t.Errorf("%s is said to be the key's", body)
		}
	})
}
