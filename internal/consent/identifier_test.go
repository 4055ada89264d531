package consent

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNormalize(t *testing.T) {
	long := strings.Repeat("x", MaxIdentifier)
	for _, tc := range []struct {
		kind        IdentifierKind
		value, want string // want "": refused
	}{
		{Email, "a@b.com", "a@b.com"},
		{Email, " \tAda.Lovelace@Example.COM\n", "ada.lovelace@example.com"},
		{Email, "ada+news@example.com", "ada+news@example.com"},
		{Email, "ÄDA@example.com", "äda@example.com"},
		{Email, "a@Bücher.example", "a@xn--bcher-kva.example"},
		{Email, "a@BÜCHER.example", "a@xn--bcher-kva.example"},
		{Email, "a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"},
		{Email, "a@localhost", "a@localhost"},
		{Email, `"odd@one"@example.com`, `"odd@one"@example.com`},
		{Email, "", ""}, {Email, "   ", ""}, {Email, "a", ""}, {Email, "@b.com", ""}, {Email, "a@", ""},
		{Email, "a b@c.com", ""}, {Email, "a@b c.com", ""}, {Email, "a@b@c.com", ""}, {Email, "<a@b.com>", ""},
		{Email, "a@b.com,c@d.com", ""}, {Email, "a@.com", ""}, {Email, "a@b..com", ""}, {Email, "a@-b.com", ""},
		{Email, "a@b-.com", ""}, {Email, "a@b.com.", ""}, {Email, "a@b_c.com", ""}, {Email, "a\x00@b.com", ""},
		{Email, "a@b\x7f.com", ""}, {Email, "a\xff@b.com", ""}, {Email, strings.Repeat("x", 260) + "@b.com", ""},
		{Email, "a@" + strings.Repeat("x", 64) + ".com", ""}, {Email, "a@xn--\u00fc.com", ""},
		{Phone, "+1 (650) 253-0000", "+16502530000"},
		{Phone, "+49 30 901820", "+4930901820"},
		{Phone, " +16502530000 ", "+16502530000"},
		{Phone, "030 901820", "030 901820"}, // no country: only trimmed
		{Phone, " ext. 12 ", "ext. 12"},
		{Phone, "+1 415 555 0100 ext. 5", "+1 415 555 0100 ext. 5"},
		{Phone, "+14155550100;ext=9", "+14155550100;ext=9"},
		{Phone, "Bob +14155550100", "Bob +14155550100"},
		{Email, "\u212a@x.example", "\u212a@x.example"},
		{Phone, "", ""}, {Phone, " ", ""}, {Phone, "+1\x00650", ""}, {Phone, long + "1", ""},
		{AnonymousID, "0192F0C1-2B3A-7C4D-8E5F-0123456789AB", "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"},
		{AnonymousID, "0192f0c12b3a7c4d8e5f0123456789ab", ""}, {AnonymousID, "", ""}, {AnonymousID, "browser-1", ""},
		{UserID, "User-1", "User-1"}, {UserID, " spaced ", " spaced "}, {UserID, "ünï", "ünï"}, {UserID, long, long},
		{UserID, "", ""}, {UserID, long + "x", ""}, {UserID, "a\nb", ""}, {UserID, "a\u0085b", ""}, {UserID, "\xc3", ""},
		{ProjectUserID, "42", "42"}, {ProjectUserID, "a\tb", ""},
		{Username, "Ada", "Ada"}, {TypedKind("device"), "D-1", "D-1"}, {TypedKind("device"), "", ""},
	} {
		got, err := Normalize(tc.kind, tc.value)
		if tc.want == "" {
			if err == nil {
				t.Errorf("%s %q is taken as %q", tc.kind, tc.value, got)
			} else if e := AsError(err); e.Kind != Invalid || len(tc.value) > 2 && strings.Contains(e.Msg, tc.value) {
				t.Errorf("%s %q is refused with %q of kind %d, or repeated in it", tc.kind, tc.value, e.Msg, e.Kind)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("%s %q becomes %q (%v), want %q", tc.kind, tc.value, got, err, tc.want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	kinds := []IdentifierKind{UserID, ProjectUserID, Username, Email, Phone, AnonymousID, TypedKind("device")}
	for i, s := range []string{"u-1", "p-1", "Ada", " Ada@BÜCHER.example ", "+1 (650) 253-0000", "0192F0C1-2B3A-7C4D-8E5F-0123456789AB",
		"D-1", "a@xn--bcher-kva.example", "a@ß.de", "+49 30 901820 ext. 5", "tel:+1-201-555-0123;phone-context=+1", "İ@i.com", "a\x00", "\xff@x"} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, n uint8, value string) {
		kind := kinds[int(n)%len(kinds)]
		once, err := Normalize(kind, value)
		if err != nil {
			if !IsKind(err, Invalid) {
				t.Fatalf("%s %q: %v is no Invalid", kind, value, err)
			}
			return
		}
		if once == "" || len(once) > MaxIdentifier || !utf8.ValidString(once) || strings.ContainsRune(once, 0) {
			t.Fatalf("%s %q becomes %q", kind, value, once)
		}
		if twice, err := Normalize(kind, once); err != nil || twice != once {
			t.Fatalf("%s %q becomes %q, and that %q (%v)", kind, value, once, twice, err)
		}
	})
}

func TestPrepareRanks(t *testing.T) {
	given := []Identifier{{Kind: AnonymousID, Value: "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"}, {Kind: Phone, Value: "+16502530000"},
		{Kind: Email, Value: "A@b.com"}, {Kind: ProjectUserID, Value: "p"}, {Kind: UserID, Value: "u"}}
	for _, tc := range []struct {
		emailFirst bool
		want       []IdentifierKind
	}{
		{false, []IdentifierKind{UserID, ProjectUserID, Email, Phone, AnonymousID}},
		{true, []IdentifierKind{Email, UserID, ProjectUserID, Phone, AnonymousID}},
	} {
		out, err := prepare(given, 7, tc.emailFirst)
		if err != nil || len(out) != len(given) {
			t.Fatal(out, err)
		}
		for i, id := range out {
			if id.Kind != tc.want[i] || (id.Project == 7) != (id.Kind == ProjectUserID) {
				t.Errorf("email first %t: at %d stands %+v, want %s", tc.emailFirst, i, id, tc.want[i])
			}
		}
	}
	_, err := prepare([]Identifier{{Kind: UserID, Value: "u"}, {Kind: Email, Value: "no"}}, 1, false)
	if e := AsError(err); err == nil || e.Field != "email" {
		t.Errorf("a bad e-mail address: %v, in field %q", err, e.Field)
	}
}
