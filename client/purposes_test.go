package client_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

// TestPurposes makes a purpose, changes what it says, and reads its versions.
func TestPurposes(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	in := client.NewPurpose{Key: "letters", Name: "Letters", Description: "By post", LegalText: "We write to you.",
		URL: "https://shop.example/letters", Category: "communication", Subcategory: "post", Label: "letters",
		Duration: "P13M", LegalBasis: "consent", Required: true, Status: "active",
		Texts: map[string]client.Text{"de": {Name: "Briefe", LegalText: "Wir schreiben Ihnen."}}}
	made := must[client.Purpose](t)(c.CreatePurpose(ctx, in))
	got := client.NewPurpose{Key: made.Key, Name: made.Name, Description: made.Description, LegalText: made.LegalText,
		URL: made.URL, Category: made.Category, Subcategory: made.Subcategory, Label: made.Label, Duration: made.Duration,
		LegalBasis: made.LegalBasis, Required: made.Required, Status: made.Status, Texts: made.Texts}
	if d := cmp.Diff(in, got); d != "" || made.Version != 1 || made.ETag == "" || made.CreatedAt.IsZero() {
		t.Errorf("%+v (-sent +made):\n%s", made, d)
	}
	if d := cmp.Diff(made, must[client.Purpose](t)(c.Purpose(ctx, "letters"))); d != "" {
		t.Errorf("(-made +read):\n%s", d)
	}
	if _, err := c.CreatePurpose(ctx, in); !client.IsConflict(err) {
		t.Errorf("twice: %v", err)
	}
	patch := map[string]any{"legalText": "We write to you often.", "url": nil}
	changed := must[client.Purpose](t)(c.UpdatePurpose(ctx, "letters", patch, made.ETag))
	if changed.Version != 2 || changed.LegalText != "We write to you often." || changed.URL != "" {
		t.Errorf("%+v", changed)
	}
	if _, err := c.UpdatePurpose(ctx, "letters", patch, made.ETag); !client.IsChanged(err) {
		t.Errorf("with an old ETag: %v", err)
	}
	versions := collect(t, c.PurposeVersions(ctx, "letters"))
	if len(versions) != 2 || versions[0].To.IsZero() || !versions[0].To.Equal(versions[1].From) ||
		!versions[1].To.IsZero() || versions[0].SHA256 == "" {
		t.Errorf("%+v", versions)
	}
	if first := must[client.PurposeVersion](t)(c.PurposeVersion(ctx, "letters", 1)); first.LegalText != in.LegalText ||
		first.Texts["de"].LegalText != "Wir schreiben Ihnen." || first.Texts["de"].SHA256 == "" {
		t.Errorf("%+v", first)
	}
	least := must[client.Purpose](t)(c.CreatePurpose(ctx, client.NewPurpose{Key: "parcels", Name: "Parcels"}))
	if least.Category == "" || least.Subcategory == "" || least.Label != "parcels" {
		t.Errorf("without a category: %+v", least)
	}
	names := map[string]bool{}
	for _, p := range collect(t, c.Purposes(ctx)) {
		names[p.Key] = true
	}
	if !names["letters"] || !names["marketing"] {
		t.Errorf("the list has %v", names)
	}
}
