package protocol_test

import (
	"errors"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// An error keeps all but its field's name, and what is no error about a field stays what it is.
func TestNamesRename(t *testing.T) {
	some := protocol.Names{"state": "consentState"}
	all := protocol.Names{"state": "consentState", "": "body"}
	cause := errors.New("cause")
	about := func(field string) error {
		return &consent.Error{Kind: consent.Conflict, Field: field, Msg: "is wrong", Err: cause}
	}
	for _, tc := range []struct {
		names protocol.Names
		given error
		want  string
	}{
		{some, about("state"), "consentState: is wrong: cause"},
		{some, about("action"), "action: is wrong: cause"},
		{some, about(""), "is wrong: cause"},
		{all, about("state"), "consentState: is wrong: cause"},
		{all, about("action"), "body: is wrong: cause"},
		{all, cause, "cause"},
	} {
		got := tc.names.Rename(tc.given)
		if got.Error() != tc.want || !errors.Is(got, cause) || consent.AsError(got).Kind != consent.AsError(tc.given).Kind {
			t.Errorf("%v: got %v, want %s", tc.given, got, tc.want)
		}
	}
	if err := all.Rename(nil); err != nil {
		t.Error(err)
	}
}
