package consent

import "testing"

func TestPrepareRanks(t *testing.T) {
	given := []Identifier{{Kind: AnonymousID, Value: "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"},
		{Kind: Phone, Value: "+16502530000"},
		{Kind: Email, Value: "A@b.com"}, {Kind: ProjectUserID, Value: "p"}, {Kind: UserID, Value: "u"}}
	for _, tc := range []struct {
		emailFirst bool
		want       []IdentifierKind
	}{
		{false, []IdentifierKind{UserID, ProjectUserID, Email, Phone, AnonymousID}},
		{true, []IdentifierKind{Email, UserID, ProjectUserID, Phone, AnonymousID}},
	} {
		out, err := PrepareIdentifiers(given, 7, tc.emailFirst)
		if err != nil || len(out) != len(given) {
			t.Fatal(out, err)
		}
		for i, id := range out {
			if id.Kind != tc.want[i] || (id.Project == 7) != (id.Kind == ProjectUserID) {
				t.Errorf("email first %t: at %d stands %+v, want %s", tc.emailFirst, i, id, tc.want[i])
			}
		}
	}
	_, err := PrepareIdentifiers([]Identifier{{Kind: UserID, Value: "u"}, {Kind: Email, Value: "no"}}, 1, false)
	if e := AsError(err); err == nil || e.Field != "email" {
		t.Errorf("a bad e-mail address: %v, in field %q", err, e.Field)
	}
}
