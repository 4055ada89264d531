package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/consentd/consentd/client"
)

// TestErase erases somebody, twice, and looks who is left.
func TestErase(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who := client.Identifiers{UserID: "erase-ada"}
	decision := client.Decision{Identifiers: who, Purpose: "marketing", State: client.Accepted}
	id := must[[]client.Event](t)(c.Record(ctx, decision))[0].SubjectID
	first := must[client.Erased](t)(c.Erase(ctx, id, "asked for it"))
	if first.SubjectID != id || first.ErasedAt.IsZero() || first.Sequence == 0 || first.Events != 1 {
		t.Errorf("%+v", first)
	}
	if again := must[client.Erased](t)(c.Erase(ctx, id, "")); again != first {
		t.Errorf("again: %+v", again)
	}
	_, err := c.Subject(ctx, id)
	var gone *client.Error
	if !client.IsGone(err) || !errors.As(err, &gone) || !gone.ErasedAt.Equal(first.ErasedAt) {
		t.Errorf("by the id: %v", err)
	}
	if must[bool](t)(c.May(ctx, who, "marketing")) {
		t.Error("a consent is left")
	}
	if again := must[[]client.Event](t)(c.Record(ctx, decision))[0].SubjectID; again == id {
		t.Error("who comes back is the same subject")
	}
}

// TestRestrict restricts somebody, and ends it.
func TestRestrict(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who := client.Identifiers{UserID: "restrict-ada"}
	id := must[[]client.Event](t)(c.Record(ctx, client.Decision{Identifiers: who, Purpose: "marketing",
		State: client.Accepted}))[0].SubjectID
	first := must[client.Restriction](t)(c.Restrict(ctx, id, "contested"))
	if first.SubjectID != id || !first.Restricted || first.RestrictedAt.IsZero() || first.Sequence == 0 {
		t.Errorf("%+v", first)
	}
	if again := must[client.Restriction](t)(c.Restrict(ctx, id, "")); again != first {
		t.Errorf("again: %+v", again)
	}
	shown := must[client.Subject](t)(c.Subject(ctx, id))
	if !shown.RestrictedAt.Equal(first.RestrictedAt) || must[bool](t)(c.May(ctx, who, "marketing")) {
		t.Errorf("%+v is granted", shown)
	}
	end := must[client.Restriction](t)(c.Unrestrict(ctx, id, ""))
	if end != (client.Restriction{SubjectID: id}) || !must[bool](t)(c.May(ctx, who, "marketing")) {
		t.Errorf("%+v", end)
	}
}

// TestEraseAndSuppress: who was erased so is denied until they decide again.
func TestEraseAndSuppress(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	who := client.Identifiers{UserID: "suppress-ada"}
	decision := client.Decision{Identifiers: who, Purpose: "marketing", State: client.Accepted}
	id := must[[]client.Event](t)(c.Record(ctx, decision))[0].SubjectID
	must[client.Erased](t)(c.EraseAndSuppress(ctx, id, ""))
	got := must[client.Check](t)(c.Check(ctx, client.Question{Identifiers: who, Purposes: []string{"marketing"}}))
	if got.Results[0].Granted || got.Results[0].Reason != "suppressed" {
		t.Errorf("%+v", got)
	}
	must[[]client.Event](t)(c.Record(ctx, decision))
	if !must[bool](t)(c.May(ctx, who, "marketing")) {
		t.Error("a decision of the person does not count")
	}
}
