package consent

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// canonicalByLibrary gives the RFC 8785 form by a library.
func canonicalByLibrary(t interface{ Fatalf(string, ...any) }, text []byte) string {
	v := jsontext.Value(append([]byte(nil), text...))
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%s is no JSON: %v", text, err)
	}
	return string(v)
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\/`, "\x00\x01\x1f\x7f\u0080", "\b\t\n\f\r", "\u2028\u2029", "<>&'",
		"é𝄞\U0010ffff", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return // its callers have checked
		}
		got := string(appendString(nil, s))
		if want := canonicalByLibrary(t, []byte(got)); got != want {
			t.Errorf("%q is written %s, canonical is %s", s, got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != s {
			t.Errorf("%q reads back as %q (%v)", s, back, err)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("Mozilla/5.0", 512)
	f.Add("a\x00b\xffé\x7f", 5)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 0), 1000)
		got := clean(s, most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsFunc(got,
			func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			t.Errorf("%q of %d bytes at most becomes %q", s, most, got)
		}
		if again := clean(got, most); again != got {
			t.Errorf("%q becomes %q, and that %q", s, got, again)
		}
	})
}

func drawText(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.Just(""), rapid.String(), rapid.SampledFrom([]string{`a"b\c`, "é𝄞", "\u2028",
		"x\x01y\x7f"})).Draw(t, label)
}

func TestBodyIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Body{Action: UserClick.String(), DisplayedText: drawText(t, "text"), ExpiresAt: drawText(t, "expires"),
			Locale: drawText(t, "locale"), OccurredAt: formatInstant(noon), Project: ID{1}.String(), Purpose: drawText(t,
				"purpose"),
			PurposeVersion: rapid.IntRange(1, 1<<31).Draw(t, "version"), Regime: OptIn, State: Accepted.String(),
			Metadata: drawMetadata(t)}
		got := b.canonical()
		if want := canonicalByLibrary(t, got); string(got) != want {
			t.Fatalf("body reads\n%s, canonical is\n%s", got, want)
		}
		var back Body
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, b) {
			t.Fatalf("%+v reads back as %+v (%v)", b, back, err)
		}
	})
}

func TestIdentIsCanonical(t *testing.T) {
	kinds := []IdentifierKind{UserID, ProjectUserID, Username, Email, Phone, AnonymousID, TypedKind("device"),
		TypedKind("Z")}
	rapid.Check(t, func(t *rapid.T) {
		p := &Prepared{Project: &Project{WholeAddress: rapid.Bool().Draw(t, "whole")}, Session: ID{7},
			Actor: Actor{Key: ID{8}},
			Origin: Origin{Protocol: "test", UserAgent: drawText(t, "agent"), Domain: drawText(t, "domain"),
				Address: netip.MustParseAddr("203.0.113.77"),
				Country: rapid.SampledFrom([]string{"DE", UnknownCountry}).Draw(t, "country")}}
		item := &PreparedItem{}
		for _, kind := range rapid.Permutation(kinds).Draw(t, "kinds") {
			if rapid.Bool().Draw(t, "has") {
				item.Identifiers = append(item.Identifiers, Identifier{Kind: kind, Value: drawText(t, "value") + "v"})
			}
		}
		p.identify(&Item{Evidence: Evidence{FormURL: drawText(t, "url"), NoticeURL: drawText(t, "notice"),
			Country: rapid.SampledFrom([]string{"", "DE", "de", "ZZ"}).Draw(t, "said")}}, item, &p.Origin)
		_, got := item.IdentityOf("anonymous")
		if want := canonicalByLibrary(t, got); string(got) != want {
			t.Fatalf("ident reads\n%s, canonical is\n%s", got, want)
		}
		var back Identity
		if err := json.Unmarshal(got, &back); err != nil || back.AnonymousID != "anonymous" ||
			len(back.Identifiers) != len(item.Identifiers) {
			t.Fatalf("reads back as %+v (%v)", back, err)
		}
	})
}

func TestKeptAddress(t *testing.T) {
	for _, tc := range []struct {
		address string
		whole   bool
		want    string
	}{
		{"203.0.113.77", false, "203.0.113.0"}, {"203.0.113.77", true, "203.0.113.77"},
		{"::ffff:203.0.113.77", false, "203.0.113.0"}, {"::ffff:203.0.113.77", true, "203.0.113.77"},
		{"2001:db8:1:2:3::4", false, "2001:db8:1::"}, {"2001:db8:1:2:3::4", true, "2001:db8:1:2:3:0:0:4"},
		{"fe80::1%eth0", false, "fe80::"}, {"fe80::1%eth0", true, "fe80::1"},
	} {
		want := tc.want
		if strings.Contains(want, ":0:0:") {
			want = netip.MustParseAddr(want).String()
		}
		if got := keptAddress(netip.MustParseAddr(tc.address), tc.whole); got != want {
			t.Errorf("%s, whole %t, is kept as %s, want %s", tc.address, tc.whole, got, want)
		}
	}
	if got := keptAddress(netip.Addr{}, true); got != "" {
		t.Errorf("no address is kept as %q", got)
	}
}

func TestInstantsHaveSixDigits(t *testing.T) {
	for _, at := range []time.Time{noon, noon.Add(1500 * time.Microsecond), noon.Add(999999 * time.Microsecond),
		noon.Add(time.Microsecond),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
		if got, want := formatInstant(at), at.Format("2006-01-02T15:04:05.000000Z"); got != want {
			t.Errorf("%s is written %s", want, got)
		}
	}
}
