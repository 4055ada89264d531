package consent

import (
	"bytes"
	"encoding/json"
	"testing"
)

// canonicalSlowly is what checkCanonical does where it is not quick to see.
func canonicalSlowly(blob []byte) bool {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(blob))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return false
	}
	canonical, err := appendCanonical(nil, value)
	return err == nil && bytes.Equal(canonical, blob)
}

// FuzzCheckCanonical: what is quick to see changes nothing of what is found.
func FuzzCheckCanonical(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"a":1}`, `{"a":"b","c":{"d":0,"e":"é𝄞"}}`, `{"a":1,}`, `{,"a":1}`,
		`{"a":1 }`, ` {"a":1}`, `{"a":1}` + "\n",
		`{"b":1,"a":2}`, `{"a":1,"a":1}`, `{"":1}`, `{"":1,"":2}`, `{"":1"a":2}`, `{"a":01}`, `{"a":0}`, `{"a":-1}`,
		`{"a":1.50}`, `{"a":1e3}`, `{"a":}`, `{"a"}`, `{"a":"\n"}`, `{"a":"\u0041"}`,
		"{\"a\":\"\xff\"}", "{\"a\":\"\x7f\"}", "{\"a\":\"\t\"}", `{"a":true}`, `{"a":[]}`, `{"a":null}`,
		`"a"`, `7`, `{"a":"b"`, `{"a`, `{`, `}`,
		`{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}}}}}`,
		`{"a":1}{}`, `{"é":1}`, `{"a\"b":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		if got, want := checkCanonical(blob) == nil, canonicalSlowly(blob); got != want {
			t.Errorf("%q is canonical: %v, want %v", blob, got, want)
		}
	})
}
