package client_test

import (
	"context"
	"testing"

	"github.com/consentd/consentd/client"
)

// TestMerge looks what a merge would change, merges, and undoes it.
func TestMerge(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	made := must[[]client.Event](t)(c.Record(ctx,
		client.Decision{Identifiers: client.Identifiers{UserID: "merge-a"}, Purpose: "marketing", State: client.Accepted},
		client.Decision{Identifiers: client.Identifiers{Email: "merge-b@shop.example"}, Purpose: "marketing",
			State: client.Declined}))
	a, b := made[0].SubjectID, made[1].SubjectID
	may := func(who client.Identifiers) bool { return must[bool](t)(c.May(ctx, who, "marketing")) }
	for _, dry := range []bool{true, false} {
		merge := must[client.Merge](t)(c.Merge(ctx, a, b, dry, ""))
		if merge.DryRun != dry || merge.Subject.ID != a || merge.Subject.ETag == "" || len(merge.Changes) == 0 {
			t.Fatalf("%+v", merge)
		}
		for _, change := range merge.Changes {
			if change.Purpose != "marketing" || change.After.State != client.Declined {
				t.Errorf("%+v", change)
			}
		}
		if yes := may(client.Identifiers{UserID: "merge-a"}); yes != dry {
			t.Errorf("after a dry run (%v): %v", dry, yes)
		}
	}
	if same := must[client.Subject](t)(c.Subject(ctx, b)); same.ID != a || len(same.Merged) != 1 ||
		same.Merged[0].SubjectID != b {
		t.Errorf("by the other's id: %+v", same)
	}
	subject, other, err := c.Unmerge(ctx, a, b, "")
	if err != nil || subject.ID != a || other.ID != b || subject.ETag == "" || len(subject.Merged) != 0 {
		t.Fatalf("%+v, %+v, %v", subject, other, err)
	}
	if !may(client.Identifiers{UserID: "merge-a"}) || may(client.Identifiers{Email: "merge-b@shop.example"}) {
		t.Error("each does not say what they said before")
	}
	if _, _, err := c.Unmerge(ctx, a, b, ""); !client.IsConflict(err) {
		t.Errorf("what is not merged: %v", err)
	}
}
