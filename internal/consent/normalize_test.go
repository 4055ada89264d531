package consent

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
	"golang.org/x/text/width"
	"pgregory.net/rapid"
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
		{Phone, "030 901820", "030901820"}, // no country
		{Phone, "tel:+49-30-901820", "+4930901820"}, {Phone, "TEL:0049 30 901820", "+4930901820"},
		{Phone, "+0049 30 901820", "+4930901820"}, {Phone, "+49·30·901820", "+4930901820"},
		{Phone, "tel:+1-650-253-0000;ext=9", "+16502530000;ext=9"},
		{Phone, " ext. 12 ", "ext.12"},
		{Phone, "+1 415 555 0100 ext. 5", "+14155550100ext.5"},
		{Phone, "+14155550100;ext=9", "+14155550100;ext=9"},
		{Phone, "Bob +14155550100", "Bob+14155550100"},
		{Phone, "+", ""}, {Phone, "00", ""}, {Phone, "()", ""}, {Phone, "\u2060-", ""},
		{Phone, "", ""}, {Phone, " ", ""}, {Phone, "+1\x00650", ""}, {Phone, long + "1", ""},
		{AnonymousID, "0192F0C1-2B3A-7C4D-8E5F-0123456789AB", "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"},
		{AnonymousID, "0192f0c12b3a7c4d8e5f0123456789ab", "0192f0c12b3a7c4d8e5f0123456789ab"}, {AnonymousID, "", ""},
		{AnonymousID, " Browser-1", "Browser-1"}, {AnonymousID, "00000000-0000-0000-0000-000000000000", ""},
		{UserID, "User-1", "User-1"}, {UserID, " spaced out\n", "spaced out"}, {UserID, "ünï", "ünï"},
		{UserID, long, long}, {UserID, "", ""}, {UserID, long + "x", ""}, {UserID, "a\nb", ""},
		{UserID, "a\u0085b", ""}, {UserID, "\xc3", ""},
		{UserID, " \u200b ", ""}, {UserID, "a\u200bb", ""}, {UserID, "a\u202eb", ""}, {UserID, "\u0600a", "\u0600a"},
		{UserID, "\u00a00192F0C1-2B3A-7C4D-8E5F-0123456789AB", "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"},
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
	for i, s := range []string{"u-1", "p-1", "Ada", " Ada@BÜCHER.example ", "+1 (650) 253-0000",
		"0192F0C1-2B3A-7C4D-8E5F-0123456789AB", "D-1", "a@xn--bcher-kva.example", "a@ß.de", "+49 30 901820 ext. 5",
		"tel:+1-201-555-0123;phone-context=+1", "İ@i.com", "a\x00", "\xff@x", "００４４ (0)２０ ٧٩٤٦\u200b0000",
		"J\u030c@Σς.gr", "a@xn--3xa.gr", "\u1fb3\u0345\u0301@a.com", "e\u200b\u0301x1"} {
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

// TestSpellings holds spellings of one person's name against each other, and against names that look like it and are
// another's. A spelling in refused gives nobody. They are parted by bars.
func TestSpellings(t *testing.T) {
	for _, tc := range []struct {
		kind                   IdentifierKind
		same, refused, another string
	}{
		{Email, "ada@b.com|ADA@B.COM|\ufeffada@b.com|ada@b.com\u200b|\u202aada@b.com\u202c|\u3000ada@b.com\u0085" +
			"|ａｄａ＠ｂ．ｃｏｍ|ada@b。com",
			"ad\u200ba@b.com|ada@b\u00ad.com|ad\u00a0a@b.com|ada\u2028@b.com|ada@b\u200d.com|ada@\ufeffb.com|a\u115fda@b.com",
			"ad\u0430@b.com|ada@bb.com|ád@b.com"},
		{Email, "é@x.fr|É@X.FR|e\u0301@x.fr|E\u0301@x.fr", "", "e@x.fr"},
		{Email, "a@é.fr|A@É.FR|a@e\u0301.fr|a@xn--9ca.fr|a@XN--9CA.fr", "", "a@e.fr"},
		{Email, "οδυσσεύς@x.gr|ΟΔΥΣΣΕΎΣ@x.gr|οδυσσεύσ@X.GR|ΟΔΥΣΣΕΥ\u0301Σ@x.gr", "", "οδυσσευς@x.gr"},
		{Email, "a@ς.gr|a@Σ.gr|a@σ.GR|a@xn--4xa.gr|a@xn--3xa.gr", "", "a@s.gr"},
		{Email, "a@ab--cd.com|a@AB--CD.com|A@Ab--Cd.Com|a@ａｂ－－ｃｄ.com", "", "a@ab-cd.com"},
		{Email, "J\u030c@x.com|\u01f0@x.com|j\u030c@x.com", "", "j@x.com"},
		{Email, "İ@x.com|i\u0307@x.com|I\u0307@x.com", "", "i@x.com|ı@x.com"},
		{Email, "\u212aim@x.com|kim@x.com", "", "im@x.com"}, // the Kelvin sign is K in NFC
		{Email, "sam@x.com|SAM@x.com", "", "ſam@x.com"},
		{Phone, "+442079460000|+44 (0)20 7946 0000|0044 20 7946 0000|(0044) 20-7946-0000|+44.20.7946.0000" +
			"|+44\u00a020\u20117946\u20100000|\u202a+44 20 7946 0000\u202c|\ufeff+44 20\u2212 7946\u00ad0000" +
			"|٠٠٤٤٢٠٧٩٤٦٠٠٠٠|＋４４　２０　７９４６　００００|００４４２０７９４６００００|+４４ー２０ー７９４６ー００００" +
			"|(+44) 20 / 7946 0000|+\u200b44\t2079460000",
			"", "+442079460000x12|+44 20 7946 0000 ext. 1|442079460000|+442079460001"},
		{Phone, "+521 55 1234 5678|+52 55 1234 5678|0052 1 (55) 1234-5678", "", "+52 55 1234 5679|55 1234 5678"},
		{Phone, "030 901820|(030) 90 18-20|030/901820|030.901820|０３０　９０１８２０|۰۳۰۹۰۱۸۲۰", "", "+30901820|30901820"},
		{Phone, "00123x9|+12 3 x9", "", "+123|+1239"},
		{UserID, "Zoë|Zoe\u0308|\u2067Zoë\u2069| Zoë\ufe0f", "Zo\u200dë|Zo\U000e0020ë", "Zoe|zoë"},
		{UserID, "Ada L|Ada\u00a0L|Ada\u3000L|Ada\u2028L", "Ada\tL|Ada\u0085L|Ada \u2060L", "AdaL|Ada  L"},
		{AnonymousID, "0192f0c1-2b3a-7c4d-8e5f-0123456789ab|\ufeff0192F0C1-2B3A-7C4D-8E5F-0123456789AB ",
			"0192f0c1-2b3a-7c4d\u200b-8e5f-0123456789ab", "0192f0c1-2b3a-7c4d-8e5f-0123456789ac"},
	} {
		spellings := func(list string) []string {
			return strings.FieldsFunc(list, func(r rune) bool { return r == '|' })
		}
		same := spellings(tc.same)
		one, err := Normalize(tc.kind, same[0])
		if err != nil {
			t.Errorf("%s %q: %v", tc.kind, same[0], err)
			continue
		}
		for _, s := range same {
			if got, err := Normalize(tc.kind, s); err != nil || got != one {
				t.Errorf("%s %+q becomes %+q (%v), want %+q", tc.kind, s, got, err, one)
			}
		}
		for _, s := range spellings(tc.refused) {
			if got, err := Normalize(tc.kind, s); err == nil {
				t.Errorf("%s %+q is taken as %+q", tc.kind, s, got)
			}
		}
		for _, s := range spellings(tc.another) {
			if got, err := Normalize(tc.kind, s); err != nil || got == one {
				t.Errorf("%s %+q becomes %+q (%v), the same as %+q", tc.kind, s, got, err, same[0])
			}
		}
	}
}

// samples are names of each kind in their one form, with places inside where a character can be put.
var samples = []struct {
	kind IdentifierKind
	name string
}{
	{UserID, "Ada L"}, {ProjectUserID, "42"}, {Username, "ada"}, {TypedKind("device"), "d-1"}, {Email, "ada@b.example"},
	{Email, "zoë@b.example"}, {Phone, "+442079460000"}, {Phone, "030901820"}, {Phone, "+442079460000x12"},
	{AnonymousID, "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"}, {UserID, "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"},
}

// TestUnseenCharacters puts every space and every invisible character that Unicode has around names and into them: it
// is the same person, or refused.
func TestUnseenCharacters(t *testing.T) {
	unseen := rangetable.Merge(unicode.White_Space, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point,
		unicode.Variation_Selector, unicode.Bidi_Control)
	rangetable.Visit(unseen, func(r rune) {
		if unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // it is seen
			return
		}
		for _, s := range samples {
			c := string(r)
			for _, spelling := range []string{c + s.name, s.name + c, c + c + s.name + " " + c} {
				if got, err := Normalize(s.kind, spelling); err != nil || got != s.name {
					t.Errorf("%s %q with %U around it becomes %q (%v)", s.kind, s.name, r, got, err)
				}
			}
			at := len(s.name) - 2
			got, err := Normalize(s.kind, s.name[:at]+c+s.name[at:])
			if s.kind == Phone && (err != nil || got != s.name) {
				t.Errorf("phone %q with %U in it becomes %q (%v)", s.name, r, got, err)
			}
			plain, wrong := Normalize(s.kind, s.name[:at]+" "+s.name[at:])
			if err == nil && (wrong != nil || got != plain) {
				t.Errorf("%s %q with %U in it becomes %q, with a space %q (%v)", s.kind, s.name, r, got, plain, wrong)
			}
		}
	})
}

// TestHyphensAndDigits writes phone numbers with every hyphen and dash, and in the digits of every script.
func TestHyphensAndDigits(t *testing.T) {
	const number = "+442079461358"
	rangetable.Visit(rangetable.Merge(unicode.Dash, unicode.Hyphen), func(r rune) {
		if got, err := Normalize(Phone, "+44"+string(r)+"2079461358"); err != nil || got != number {
			t.Errorf("with %U it becomes %q (%v)", r, got, err)
		}
	})
	zero, scripts := rune(0), 0
	rangetable.Visit(unicode.Nd, func(r rune) {
		if r-zero > 9 {
			zero, scripts = r, scripts+1
		}
		if n := asciiDigit(r); n != '0'+r-zero {
			t.Errorf("%U is the digit %q", r, n)
		}
		if plain := norm.NFKC.String(string(r)); plain[0] < utf8.RuneSelf && plain != string(asciiDigit(r)) {
			t.Errorf("%U is the digit %q, and %s by NFKC", r, asciiDigit(r), plain)
		}
		if r-zero < 9 {
			return
		}
		spelling := strings.Map(func(d rune) rune {
			if d == '+' {
				return d
			}
			return zero + d - '0'
		}, number)
		if got, err := Normalize(Phone, spelling); err != nil || got != number {
			t.Errorf("%q becomes %q (%v)", spelling, got, err)
		}
	})
	if scripts < 60 {
		t.Errorf("Unicode has digits in %d scripts only", scripts)
	}
}

// TestFoldEveryLetter holds foldCase against the tables: it is stable, it makes one of what differs by case, of
// composed and decomposed, of full-width and ASCII; and of a letter beyond ASCII it makes none of ASCII but where NFC
// does.
func TestFoldEveryLetter(t *testing.T) {
	ascii := func(s string) bool { return s[0] < utf8.RuneSelf && len(s) == 1 }
	longS := func(r rune) bool { return strings.HasPrefix(norm.NFD.String(string(r)), "ſ") }
	for r := rune(' '); r <= unicode.MaxRune; r++ {
		s := string(r)
		folded := foldCase(s)
		if again := foldCase(folded); again != folded || !norm.NFC.IsNormalString(folded) {
			t.Errorf("%U becomes %+q, and that %+q", r, folded, again)
		}
		if w := narrow(r); w != r && s != width.Widen.String(string(w)) {
			t.Errorf("%U becomes %q", r, w)
		}
		if w := width.Narrow.String(s); ascii(w) && folded != foldCase(w) && unicode.IsPrint(r) {
			t.Errorf("%U becomes %+q, and narrow %+q", r, folded, foldCase(w))
		}
		if r >= utf8.RuneSelf && ascii(folded) && narrow(r) == r && !ascii(norm.NFC.String(s)) {
			t.Errorf("%U becomes %q", r, folded)
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if f := foldCase(string(other)); f != folded && !longS(r) && !longS(other) {
				t.Errorf("%U becomes %+q, and %U %+q", r, folded, other, f)
			}
		}
		for _, spelling := range []string{norm.NFD.String(s), norm.NFC.String(s)} {
			if f := foldCase(spelling); f != folded {
				t.Errorf("%U becomes %+q, and as %+q %+q", r, folded, spelling, f)
			}
		}
	}
}

// hostilePieces are what normalising changes, and what it must not fall for.
var hostilePieces = []string{
	"a", "A", "b", "K", "\u212a", "ß", "ẞ", "ς", "Σ", "İ", "I", "ı", "ſ", "e", "é", "J", "ᾳ", "ﬁ", "½",
	"\u0301", "\u0307", "\u0345", "\u030c", "\u0338", strings.Repeat("\u0301", 31),
	"\uac00", "\u1100", "\u1161", "\u11a8",
	"@", "＠", ".", "。", "．", "-", "－", "‑", "ー", "xn--", "XN--4xa", "--", "=", "＝", ";", "\u037e", "\u1fef", "\"",
	"0", "00", "44", "1", "+52", "1 55 1234 5678", "+", "＋", "(0)", "(", ")", "/", "x", "٤", "٠", "４", "𝟘",
	" ", "\t", "\u00a0", "\u2000", "\u2028", "\u3000", "\ufeff", "\u200b", "\u200d", "\u202a", "\u00ad",
	"\u034f", "\ufe0f", "\u0600", "\ufff9", "\u115f", "b.example", "ada@b.example", "+442079460000",
}

func hostile(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(hostilePieces), 1, 8).Draw(t, "pieces"), "")
}

// TestNormalizeAgain normalises what is normalised, and other spellings of the same.
func TestNormalizeAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(samples).Draw(t, "kind")
		value := hostile(t)
		once, err := Normalize(s.kind, value)
		if err == nil {
			if again, err := Normalize(s.kind, once); err != nil || again != once {
				t.Fatalf("%s %+q becomes %+q, and that %+q (%v)", s.kind, value, once, again, err)
			}
			if once != strings.TrimFunc(once, isBlank) || !norm.NFC.IsNormalString(once) ||
				strings.ContainsFunc(once, isInvisible) {
				t.Fatalf("%s %+q becomes %+q", s.kind, value, once)
			}
		}
		spellings := []string{norm.NFD.String(value), norm.NFC.String(value), "\ufeff" + value + "\u00a0\u200b"}
		if s.kind == Email {
			spellings = append(spellings, width.Widen.String(value), strings.Map(func(r rune) rune {
				if lower := unicode.ToLower(r); r < utf8.RuneSelf || lower >= utf8.RuneSelf { // it takes İ for i
					return lower
				}
				return r
			}, value))
		}
		for _, spelling := range spellings {
			if got, wrong := Normalize(s.kind, spelling); err == nil && wrong == nil && got != once {
				t.Fatalf("%s %+q becomes %+q, and as %+q %+q", s.kind, value, once, spelling, got)
			}
		}
	})
}
