package protocol_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// A number is within its bounds, whatever its length; what comes behind too many digits is looked at as well.
func TestQueryNumber(t *testing.T) {
	type result struct {
		Number int
		Msg    string
	}
	const refused = "n, m: must be from 0"
	for raw, want := range map[string]result{
		"":                           {Number: 7},
		"n=":                         {Msg: refused},
		"n=0":                        {Number: 0},
		"m=12":                       {Number: 12},
		"n=12&m=12":                  {Number: 12},
		"n=12&m=13":                  {Number: 7, Msg: "n, m: is there twice"},
		"n=-1":                       {Msg: refused},
		"n=%2B1":                     {Msg: refused},
		"n=99999999999999999999":     {Number: math.MaxInt},
		"n=99999999999999999999x":    {Msg: refused},
		"n=-99999999999999999999":    {Msg: refused},
		"n=1%00":                     {Msg: refused},
		"n=%zz":                      {Number: 7, Msg: "is malformed"},
		"other=1&n=3&n=3&other=else": {Number: 3},
	} {
		rules := protocol.QueryRules{Malformed: "is malformed", Repeated: "is there twice", Range: "must be from %[1]d",
			SameTwice: true}
		q := rules.ParseQuery(raw)
		got := result{Number: q.Number(7, 0, math.MaxInt, "n", "m")}
		if q.Err != nil {
			_, field, msg := protocol.Status(q.Err)
			got.Msg = protocol.Message(field, msg)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	}
}

// The first mistake is the one that is told, in the order in which the parameters are asked for.
func TestQueryKeepsTheFirstMistake(t *testing.T) {
	rules := protocol.QueryRules{Prefix: "?"}
	q := rules.ParseQuery("b=2&a=1&a=3")
	bad := func(string) (bool, error) { return false, consent.Errorf(consent.Invalid, "", "is bad") }
	if first := protocol.Parsed(q, true, bad, "absent"); !first || q.Err != nil {
		t.Errorf("absent: %v, %v", first, q.Err)
	}
	if each := protocol.Each(q, bad, "a"); each != nil {
		t.Errorf("a: %v", each)
	}
	protocol.Parsed(q, true, bad, "b")
	if status, field, msg := protocol.Status(q.Err); status != 400 || field != "?a" || msg != "is bad" {
		t.Errorf("%d, %q, %q", status, field, msg)
	}
}
