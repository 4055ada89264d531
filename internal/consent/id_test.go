package consent

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func draw10(t *rapid.T) (random [10]byte) {
	switch rapid.IntRange(0, 3).Draw(t, "randomness") {
	case 0: // all zeros
	case 1:
		for i := range random {
			random[i] = 0xff
		}
	default:
		copy(random[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "random"))
	}
	return random
}

func isV7(id ID) bool { return id.Version() == 7 && id.Variant() == uuid.RFC4122 }

// TestNextIDAlwaysGrows makes ids under clocks that stand still and jump, from good and bad randomness.
func TestNextIDAlwaysGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last, at := NoID, noon
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			at = at.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "jump")) * time.Millisecond)
			id := NextID(last, at, draw10(t))
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%s comes after %s", id, last)
			}
			if !isV7(id) {
				t.Fatalf("%s is no UUIDv7", id)
			}
			last = id
		}
	})
}

func TestNextIDAtTheBrim(t *testing.T) {
	full := NewID(noon, [10]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	id := NextID(full, noon.Add(-time.Hour), [10]byte{})
	if bytes.Compare(id[:], full[:]) <= 0 || !isV7(id) {
		t.Errorf("after the last id of a millisecond comes %s, not more than %s", id, full)
	}
	if got := NextID(NoID, noon, [10]byte{}); !isV7(got) {
		t.Errorf("the first id is %s", got)
	}
}

func TestNewIDTellsItsInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<48-1).Draw(t, "ms"))
		id := NewID(at, draw10(t))
		seconds, nanos := id.Time().UnixTime()
		if got := time.Unix(seconds, nanos); !got.Equal(at) || !isV7(id) {
			t.Fatalf("%s made at %v tells %v", id, at, got)
		}
	})
}

func TestParseID(t *testing.T) {
	const text = "0192f0c1-2b3a-7c4d-8e5f-0123456789ab"
	for _, tc := range []struct {
		s  string
		ok bool
	}{
		{text, true}, {strings.ToUpper(text), true}, {"", false}, {text[:35], false}, {text + "0", false},
		{"{" + text + "}", false}, {"urn:uuid:" + text, false}, {strings.ReplaceAll(text, "-", ""), false},
		{strings.Replace(text, "a", "g", 1), false}, {strings.Replace(text, "-", "_", 1), false}, {text[:35] + " ", false},
	} {
		if id, ok := ParseID(tc.s); ok != tc.ok || ok && id.String() != text {
			t.Errorf("%q: %s %t", tc.s, id, ok)
		}
	}
}
