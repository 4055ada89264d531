package consent

import (
	"testing"
	"time"
)

func TestKeyLive(t *testing.T) {
	for _, tc := range []struct {
		name string
		key  Key
		live bool
	}{
		{"plain", Key{}, true},
		{"revoked", Key{RevokedAt: noon.Add(-time.Hour)}, false},
		{"expires later", Key{ExpiresAt: noon.Add(time.Microsecond)}, true},
		{"expires now", Key{ExpiresAt: noon}, false},
		{"expired", Key{ExpiresAt: noon.Add(-time.Microsecond)}, false},
		{"revoked and expires later", Key{ExpiresAt: noon.Add(time.Hour), RevokedAt: noon}, false},
	} {
		if tc.key.Live(noon) != tc.live {
			t.Errorf("%s: live is %t", tc.name, !tc.live)
		}
	}
}

func TestActorIn(t *testing.T) {
	a, b := ID{1}, ID{2}
	own := Actor{Organization: a, Key: ID{9}}
	if got, err := own.In(a); err != nil || got.Organization != a {
		t.Errorf("into its own organization: %v", err)
	}
	for _, organization := range []ID{b, NoID} {
		if _, err := own.In(organization); !IsKind(err, NotFound) {
			t.Errorf("into %s: %v", organization, err)
		}
	}
	root := Actor{Root: true}
	if got, err := root.In(b); err != nil || got.Organization != b || !got.Root {
		t.Errorf("the root key into an organization: %v", err)
	}
	if _, err := root.In(NoID); !IsKind(err, NotFound) {
		t.Errorf("the root key into none: %v", err)
	}
	for _, scope := range AllScopes {
		if !root.Has(scope) || own.Has(scope) || !(Actor{Scopes: []Scope{scope}}).Has(scope) {
			t.Errorf("who has %s is wrong", scope)
		}
	}
	if err := own.Require(ConsentsRead); !IsKind(err, Forbidden) {
		t.Errorf("without a scope: %v", err)
	}
}
