package consent

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawMetadata gives what check admits; nil where there is nothing.
func drawMetadata(t *rapid.T) Metadata {
	names := rapid.OneOf(rapid.StringN(1, 20, 60), rapid.SampledFrom([]string{"a", "é", "\ue000", "𝄞", `"`, "\n"}))
	values := rapid.OneOf(rapid.StringN(0, 20, 60).AsAny(), rapid.Bool().AsAny(),
		rapid.Float64().Filter(func(n float64) bool { return n != 0 || !math.Signbit(n) }).AsAny(),
		rapid.SampledFrom([]float64{0, 1, -1, 1e21, 1e-7, 0.1, 1<<53 - 1}).AsAny())
	m := Metadata(rapid.MapOfN(names, values, 0, maxMetadata).Draw(t, "metadata"))
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// TestMetadataIsCanonical: metadata is written as a library writes it, and the check of a store takes it for canonical.
func TestMetadataIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := drawMetadata(t).append(nil)
		if want := canonicalByLibrary(t, got); string(got) != want {
			t.Fatalf("metadata reads\n%s, canonical is\n%s", got, want)
		}
		if err := checkCanonical(got); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
	})
}

func TestMetadataLimits(t *testing.T) {
	most := Metadata{}
	for i := range maxMetadata {
		most[strings.Repeat("n", i+1)] = strings.Repeat("é", maxMetadataMember/2)
	}
	if err := most.check(); err != nil {
		t.Error(err)
	}
	most["one more"] = true
	for what, m := range map[string]Metadata{
		"too many": most, "no name": {"": "v"}, "a long name": {strings.Repeat("n", maxMetadataMember+1): "v"},
		"a long value": {"n": strings.Repeat("v", maxMetadataMember+1)}, "an object": {"n": map[string]any{}},
		"a list": {"n": []any{}}, "null": {"n": nil}, "a name of no UTF-8": {"\xff": "v"},
		"a value of no UTF-8": {"n": "\xff"}, "not a number": {"n": math.NaN()}, "infinite": {"n": math.Inf(1)},
	} {
		if err := m.check(); !IsKind(err, Invalid) || AsError(err).Field != "metadata" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for given, want := range map[string]float64{
		"0": 0, "-0": 0, "0.0": 0, "0e999999999": 0, "1": 1, "-1.50": -1.5, "0.1": 0.1, "1e3": 1000, "1E-7": 1e-7,
		"9007199254740991": 1<<53 - 1, "9007199254740992": 1 << 53, "1e21": 1e21, "5e-324": 5e-324,
	} {
		if got, err := ParseNumber(given); err != nil || got != want || math.Signbit(got) != (want < 0) {
			t.Errorf("%s: got %v, %v", given, got, err)
		}
	}
	for _, bad := range []string{"9007199254740993", "12345678901234567890", "0.1234567890123456789", "1e309", "-1e400",
		"1e-400", "1e-999999999", "1e999999999", "4e-324", strings.Repeat("1", 300)} {
		if got, err := ParseNumber(bad); !IsKind(err, Invalid) {
			t.Errorf("%s: got %v, %v", bad, got, err)
		}
	}
}

// FuzzNumber: a number is refused, or kept so that a library writes the same; and it reads back.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"0", "-0", "1.50", "1e21", "1e-7", "9007199254740993", "123456789012345678", "5e-324"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) || strings.ContainsAny(text, "{[\"tfn \t\r\n") {
			return // it is JSON that is read, and only numbers
		}
		n, err := ParseNumber(text)
		if err != nil {
			return
		}
		got := appendNumber(nil, n)
		if want := canonicalByLibrary(t, []byte(text)); string(got) != want {
			t.Fatalf("%s is kept as %s, canonical is %s", text, got, want)
		}
		if back, err := ParseNumber(string(got)); err != nil || back != n {
			t.Fatalf("%s is kept as %s, which reads as %v, %v", text, got, back, err)
		}
	})
}
