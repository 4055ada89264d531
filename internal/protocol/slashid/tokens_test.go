package slashid

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

const testIssuer = "https://consent.example"

// testTokens gives tokens on a clock that the test moves, and a key.
func testTokens() (*tokens, *signingKey, *time.Time) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return newTokens(nil, testIssuer, func() time.Time { return now }),
		newSigningKey(bytes.Repeat([]byte{7}, ed25519.SeedSize)), &now
}

func testSays(t testing.TB) tokenClaims {
	t.Helper()
	organization, ok1 := consent.ParseID("af5fbd30-7ce7-4548-8b30-4cd59cb2aba1")
	key, ok2 := consent.ParseID("0190f5fe-7c00-7a00-8000-000000000001")
	if !ok1 || !ok2 {
		t.Fatal("ids do not parse")
	}
	return tokenClaims{organization: organization, key: key, person: "903c1ff9-f2cc-435c-b242-9d8a690fcf0a"}
}

func mustSign(t testing.TB, tokens *tokens, k *signingKey, custom mintRequest) string {
	t.Helper()
	text, err := tokens.sign(k, testSays(t), custom)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTokenClaims holds a token against the contract and the vendor's example.
func TestTokenClaims(t *testing.T) {
	tokens, k, now := testTokens()
	text := mustSign(t, tokens, k, mintRequest{map[string]jsontext.Value{"foo": jsontext.Value(`"bar"`),
		"baz": jsontext.Value(`{"everything":42.0}`)}})
	parts := strings.Split(text, ".")
	var got []map[string]any
	for _, part := range parts[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		var decoded map[string]any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&decoded); err != nil {
			t.Fatal(err)
		}
		got = append(got, decoded)
	}
	if id, ok := got[1]["jti"].(string); !ok || len(id) < 16 {
		t.Errorf("jti is %v", got[1]["jti"])
	}
	delete(got[1], "jti")
	want := []map[string]any{
		{"alg": "EdDSA", "typ": "JWT", "kid": k.id},
		{
			"iss": testIssuer, "iat": json.Number("1772366400"), "exp": json.Number("1772452800"),
			"oid": "af5fbd30-7ce7-4548-8b30-4cd59cb2aba1", "person_id": "903c1ff9-f2cc-435c-b242-9d8a690fcf0a",
			"azp": "0190f5fe-7c00-7a00-8000-000000000001", "authenticated_methods": []any{"api"}, "first_token": false,
			"foo": "bar", "baz": map[string]any{"everything": json.Number("42.0")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	says, ok := tokens.verify(k, text)
	if !ok || says != testSays(t) {
		t.Errorf("verify gives %v, %v", says, ok)
	}
	*now = now.Add(tokenLife - time.Second)
	if _, ok := tokens.verify(k, text); !ok {
		t.Error("refused within its 24 hours")
	}
	*now = now.Add(time.Second)
	if _, ok := tokens.verify(k, text); ok {
		t.Error("accepted after its 24 hours")
	}
}

// TestForeignTokens: what another key, issuer or algorithm signed, or what lacks a claim, is none of ours.
func TestForeignTokens(t *testing.T) {
	tokens, k, now := testTokens()
	whole := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": testIssuer, "exp": now.Add(time.Hour).Unix(), "oid": testSays(t).organization.String(),
			"azp": testSays(t).key.String(), "person_id": "p"}
	}
	with := func(name string, value any) jwt.MapClaims { c := whole(); c[name] = value; return c }
	without := func(name string) jwt.MapClaims { c := whole(); delete(c, name); return c }
	other := newSigningKey(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	sign := func(method jwt.SigningMethod, claims jwt.MapClaims, kid, key any) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jwt.SigningMethodEdDSA, whole(), k.id, k.private)
	if _, ok := tokens.verify(k, good); !ok {
		t.Fatal("the good token is refused")
	}
	for name, text := range map[string]string{
		"empty":            "",
		"not a token":      "a.b.c",
		"two parts":        good[:strings.LastIndexByte(good, '.')],
		"no signature":     good[:strings.LastIndexByte(good, '.')+1],
		"other signature":  good[:len(good)-4] + "AAAA",
		"another key":      sign(jwt.SigningMethodEdDSA, whole(), k.id, other.private),
		"another key's id": sign(jwt.SigningMethodEdDSA, whole(), other.id, k.private),
		"a kid of no text": sign(jwt.SigningMethodEdDSA, whole(), 1, k.private),
		"HMAC, public key": sign(jwt.SigningMethodHS256, whole(), k.id, []byte(k.public)),
		"no algorithm":     sign(jwt.SigningMethodNone, whole(), k.id, jwt.UnsafeAllowNoneSignatureType),
		"another issuer":   sign(jwt.SigningMethodEdDSA, with("iss", "https://elsewhere.example"), k.id, k.private),
		"no issuer":        sign(jwt.SigningMethodEdDSA, without("iss"), k.id, k.private),
		"no end":           sign(jwt.SigningMethodEdDSA, without("exp"), k.id, k.private),
		"over":             sign(jwt.SigningMethodEdDSA, with("exp", now.Unix()), k.id, k.private),
		"end is text":      sign(jwt.SigningMethodEdDSA, with("exp", "never"), k.id, k.private),
		"not yet":          sign(jwt.SigningMethodEdDSA, with("nbf", now.Add(time.Minute).Unix()), k.id, k.private),
		"no organization":  sign(jwt.SigningMethodEdDSA, without("oid"), k.id, k.private),
		"no key":           sign(jwt.SigningMethodEdDSA, without("azp"), k.id, k.private),
		"no person":        sign(jwt.SigningMethodEdDSA, without("person_id"), k.id, k.private),
		"person, miswritten": sign(jwt.SigningMethodEdDSA,
			func() jwt.MapClaims { c := without("person_id"); c["Person_ID"] = "p"; return c }(), k.id, k.private),
		"person is none": sign(jwt.SigningMethodEdDSA, with("person_id", 1), k.id, k.private),
		"too long":       sign(jwt.SigningMethodEdDSA, with("pad", strings.Repeat("x", tokenMost)), k.id, k.private),
	} {
		if says, ok := tokens.verify(k, text); ok {
			t.Errorf("%s: accepted as %v", name, says)
		}
	}
}

// TestReservedClaims: every reserved name is refused, in any letter case.
func TestReservedClaims(t *testing.T) {
	for _, name := range reservedClaims {
		for _, written := range []string{name, strings.ToUpper(name)} {
			err := mintRequest{map[string]jsontext.Value{written: jsontext.Value("1")}}.check()
			if !consent.IsKind(err, consent.Invalid) || consent.AsError(err).Field != "custom_claims."+name {
				t.Errorf("%s: %v", written, err)
			}
		}
	}
	if err := (mintRequest{map[string]jsontext.Value{"name": jsontext.Value("1"),
		"scope": jsontext.Value("1")}}).check(); err != nil {
		t.Error(err)
	}
}

// TestThumbprint holds the key's id against RFC 8037, appendix A.3.
func TestThumbprint(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	k := newSigningKey(seed)
	if got, want := k.x(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; got != want {
		t.Errorf("x is %s, want %s", got, want)
	}
	if got, want := k.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("kid is %s, want %s", got, want)
	}
}

func TestHasBody(t *testing.T) {
	for _, tc := range []struct {
		body   string
		length int64
		want   bool
	}{{"", 0, false}, {"{}", 2, true}, {"", -1, false}, {"{}", -1, true}} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tc.body))
		r.ContentLength = tc.length
		if got := hasBody(r); got != tc.want {
			t.Errorf("%q of length %d: %v", tc.body, tc.length, got)
		}
		if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != tc.body {
			t.Errorf("%q of length %d: then reads %q, %v", tc.body, tc.length, rest, err)
		}
	}
}

// FuzzToken: whatever is sent as a token is refused, but the one that was signed.
func FuzzToken(f *testing.F) {
	tokens, k, now := testTokens()
	says := testSays(f)
	// The same in each of the fuzzer's processes, so without a random jti.
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": testIssuer, "exp": now.Add(time.Hour).Unix(),
		"oid": says.organization.String(), "azp": says.key.String(), "person_id": says.person})
	token.Header["kid"] = k.id
	good, err := token.SignedString(k.private)
	if err != nil {
		f.Fatal(err)
	}
	if _, ok := tokens.verify(k, good); !ok {
		f.Fatal("the good token is refused")
	}
	for _, seed := range []string{good, good + "x", good[:len(good)-1], strings.ToUpper(good), "..", "a.b.c", "",
		"eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := tokens.verify(k, text); ok && text != good {
			t.Errorf("accepted %q", text)
		}
	})
}

// FuzzMint: a body that is taken makes a token with our claims and no others in their place.
func FuzzMint(f *testing.F) {
	for _, seed := range []string{`{"custom_claims":{"foo":"bar","baz":{"everything":42}}}`, `{}`,
		`{"custom_claims":null}`,
		`{"custom_claims":{"exp":1}}`, `{"custom_claims":{"EXP":1}}`, `{"custom_claims":{"":1e999}}`,
		`{"custom_claims":{"\ud800":1}}`, `{"custom_claims":{"a":"\u2028<"}}`} {
		f.Add([]byte(seed))
	}
	tokens, k, _ := testTokens()
	f.Fuzz(func(t *testing.T, body []byte) {
		var r mintRequest
		if err := protocol.Unmarshal(body, &r); err != nil || r.check() != nil {
			return
		}
		says, ok := tokens.verify(k, mustSign(t, tokens, k, r))
		if !ok || says != testSays(t) {
			t.Errorf("token of %q says %v, %v", body, says, ok)
		}
	})
}
