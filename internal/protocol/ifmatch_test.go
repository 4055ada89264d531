package protocol

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func ifMatch(lines ...string) (consent.IfMatch, error) {
	c := call(strings.NewReader(""))
	c.Request.Header = http.Header{"If-Match": lines}
	return c.IfMatch()
}

// TestIfMatch proves RFC 9110, section 13.1.1: lists, any, and tags that match nothing.
func TestIfMatch(t *testing.T) {
	for _, tc := range []struct{ given, want string }{
		{`"3"`, "[3]"}, {`*`, "any"}, {` * `, "any"}, {`"3", "5"`, "[3 5]"}, {`"3","5" , "7"`,
			"[3 5 7]"}, {"\"3\"\n\"5\"", "[3 5]"},
		{`, "3",, `, "[3]"},
		{`W/"3"`, "[]"}, {`W/"3", "4"`, "[4]"}, {`"x"`, "[]"}, {`""`, "[]"}, {`"03"`, "[]"}, {`"+3"`, "[]"}, {`" 3"`,
			"400"},
		{`"a,b"`, "[]"}, {`"a,"3", "4"`, "400"}, {`"99999999999999999999"`, "[]"}, {"\"\xe9\"", "[]"},
		{``, "400"}, {`,`, "400"}, {`3`, "400"}, {`"3`, "400"}, {`3"`, "400"}, {`*, "3"`, "400"}, {`"3", *`,
			"400"}, {`"3" "5"`, "400"},
		{`"3";`, "400"}, {`w/"3"`, "400"}, {`W/3`, "400"}, {"\"\x01\"", "400"},
	} {
		condition, err := ifMatch(strings.Split(tc.given, "\n")...)
		got := fmt.Sprint(append([]int{}, condition.Versions...))
		switch {
		case consent.IsKind(err, consent.Invalid) && consent.AsError(err).Field == "If-Match":
			got = "400"
		case err != nil || !condition.Given:
			got = fmt.Sprint(condition, err)
		case condition.Any:
			got = "any"
		}
		if got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.given, got, tc.want)
		}
	}
	if condition, err := ifMatch(); condition.Given || err != nil {
		t.Errorf("without the header: %v %v", condition, err)
	}
}

// FuzzIfMatch proves that a tag of ours is found behind whatever list stands before it, and never made of one.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", `"3"`, `W/"3", "4"`, "*", `"a,b"`, `,, "x`, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		condition, err := ifMatch(list)
		if err != nil && !consent.IsKind(err, consent.Invalid) {
			t.Fatal(err)
		}
		for _, version := range condition.Versions {
			if !strings.Contains(list, ETag(version)) {
				t.Errorf("%q became version %d", list, version)
			}
		}
		more, err := ifMatch(list, `"4711"`)
		if n := len(more.Versions); err == nil && !condition.Any && (n == 0 || more.Versions[n-1] != 4711) {
			t.Errorf("%q and one more became %v", list, more)
		}
	})
}

// TestAnswerIsKept proves that an answer is the same once it was kept, and that answers kept before there were tags
// are read.
func TestAnswerIsKept(t *testing.T) {
	for _, want := range []Answer{{Status: 204}, {Status: 200, ETag: `"3"`, ContentType: "application/json",
		Location: "/x", Body: []byte("{}\n\n")},
		{Status: 201, Location: "/x", Body: []byte{}}} {
		got, err := decodeAnswer(want.encode())
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := decodeAnswer([]byte("201\ntext/plain\n/x\nbody")); got.Status != 201 || got.ETag != "" ||
		string(got.Body) != "body" || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
