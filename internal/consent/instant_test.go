package consent

import (
	"strings"
	"testing"
	"time"
)

func TestParseInstant(t *testing.T) {
	for s, want := range map[string]string{
		"2026-01-31T12:00:00Z":                "2026-01-31T12:00:00Z",
		"2026-01-31t12:00:00z":                "2026-01-31T12:00:00Z", // RFC 3339, 5.6, NOTE
		"2026-01-31T12:00:00.5z":              "2026-01-31T12:00:00.5Z",
		"2026-01-31t12:00:00.000001+02:00":    "2026-01-31T10:00:00.000001Z",
		"2026-01-31T12:00:00.1234567899999Z":  "2026-01-31T12:00:00.123456789Z",
		"2026-01-31T12:00:00-00:00":           "2026-01-31T12:00:00Z",
		"2026-01-31T12:00:00+18:00":           "2026-01-30T18:00:00Z",
		"2026-01-31T12:00:00-18:00":           "2026-02-01T06:00:00Z",
		"2026-01-31T12:00:00.25-17:59":        "2026-02-01T05:59:00.25Z",
		"2026-01-31T12:00:00+05:45":           "2026-01-31T06:15:00Z",
		"2028-02-29T23:59:59Z":                "2028-02-29T23:59:59Z",
		"2000-02-29T00:00:00Z":                "2000-02-29T00:00:00Z",
		"1970-01-01T00:00:00Z":                "1970-01-01T00:00:00Z",
		"0000-01-01T00:00:00Z":                "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999-00:01": "10000-01-01T00:00:59.999999999Z", // callers have their own bounds
	} {
		got, err := ParseInstant(s)
		if err != nil || got.Format(time.RFC3339Nano) != want || got.Location() != time.UTC {
			t.Errorf("%s is %v (%v), want %s", s, got, err, want)
		}
		if bytes, err := ParseInstant([]byte(s)); err != nil || !bytes.Equal(got) {
			t.Errorf("%s as bytes is %v (%v)", s, bytes, err)
		}
	}
	for _, s := range []string{
		"", "Z", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31_12:00:00Z",
		"2026-01-31T12:00Z", "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.",
		"2026-01-31T12:00:00.5", "2026-01-31T1:00:00Z", "2026-01-31T12:00:60Z", "2016-12-31T23:59:60Z",
		"2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z",
		"2026-01-00T12:00:00Z", "2026-01-32T12:00:00Z", "2026-04-31T12:00:00Z", "2026-02-29T12:00:00Z",
		"1900-02-29T12:00:00Z", "2026-1-31T12:00:00Z", "02026-01-31T12:00:00Z", "-026-01-31T12:00:00Z",
		"20 6-01-31T12:00:00Z", "202x-01-31T12:00:00Z", "2x26-01-31T12:00:00Z", "2026-01-31T12:00:00ZZ",
		"2026-01-31T12:00:00Z ", " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00+0200", "2026-01-31T12:00:00+02",
		"2026-01-31T12:00:00+2:00", "2026-01-31T12:00:00 02:00", "2026-01-31T12:00:00+02:60",
		"2026-01-31T12:00:00+aa:00", "2026-01-31T12:00:00+00:bb", "2026-01-31T12:00:00\u221202:00",
		"2026-01-31T12:00:00+02:00:00", "2026-01-31T12:00:00+02.00", "2026/01/31T12:00:00Z",
		"2026-01-31T12-00-00Z", "2026-01-31T12:00:00UTC", "2026-01-31T12:00:00\u0131", "٢٠٢٦-01-31T12:00:00Z",
		"2026-01-31\u0054\u030012:00:00Z", "2026-01-31T12:00:00.\u0665Z", "2026-W05-6T12:00:00Z",
		"2026-01-31T12:00:00.5\x00Z", "20260131T120000Z",
	} {
		if got, err := ParseInstant(s); err != errInstant {
			t.Errorf("%q is %v (%v)", s, got, err)
		}
	}
	for _, s := range []string{"+18:01", "-18:01", "+23:59", "+24:00", "-24:00", "+99:59"} {
		if got, err := ParseInstant("2026-01-31T12:00:00" + s); err != errOffset {
			t.Errorf("with an offset of %s it is %v (%v)", s, got, err)
		}
	}
}

// FuzzParseInstant holds it against package time: it gives the same instant, and refuses only what package time refuses
// too, what that takes beyond RFC 3339, and greater offsets.
func FuzzParseInstant(f *testing.F) {
	for _, s := range []string{"2026-01-31T12:00:00Z", "2026-01-31t12:00:00.5z", "2026-01-31T12:00:00.1234567899-18:00",
		"2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00,5Z", "2026-01-31T1:00:00Z", "2016-12-31T23:59:60Z",
		"2028-02-29T00:00:00Z", "2026-01-31T12:00:00+00:60"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseInstant(s)
		want, wrong := time.Parse(time.RFC3339, strings.ToUpper(s))
		if err == nil {
			if wrong != nil || !got.Equal(want) {
				t.Fatalf("%q is %v, package time says %v (%v)", s, got, want, wrong)
			}
			if _, offset := want.Zone(); offset < -maxOffset || offset > maxOffset || strings.Contains(s, ",") {
				t.Fatalf("%q is taken", s)
			}
			return
		}
		if !IsKind(err, Invalid) {
			t.Fatalf("%q: %v is no Invalid", s, err)
		}
		if wrong != nil || strings.Contains(s, ",") || len(s) > 12 && s[12] == ':' {
			return
		}
		if strings.HasSuffix(s, ":60") { // package time takes an offset of 60 minutes, RFC 3339 (section 5.6) does not
			return
		}
		if _, offset := want.Zone(); err != errOffset || offset >= -maxOffset && offset <= maxOffset {
			t.Fatalf("%q is refused (%v), package time says %v", s, err, want)
		}
	})
}

// BenchmarkParseInstant compares with package time: decisions come by the thousand.
func BenchmarkParseInstant(b *testing.B) {
	for _, s := range []string{"2023-11-07T05:31:56Z", "2023-11-07T05:31:56.123456+02:00"} {
		text := []byte(s)
		b.Run("ours/"+s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseInstant(text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("time/"+s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var t time.Time
				if err := t.UnmarshalText(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
