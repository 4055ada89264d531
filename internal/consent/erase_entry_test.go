package consent

import (
	"testing"

	"github.com/consentd/consentd/ledger"
)

// TestReadErasure: the body of an erasure tells which entries it took, and one that does not is refused.
func TestReadErasure(t *testing.T) {
	var took ledger.ErasedSet
	for _, sequence := range []int64{3, 7, 8} {
		took.Add(sequence)
	}
	in := EraseSubject{Subject: ID{1}, Reason: "asked", Suppress: true}
	body := Actor{Organization: ID{2}}.ErasureEntry(&in, 2, &took).BodyJSON
	const want = `{"entry":"erasure","events":2,"others":1,` +
		`"entries":"35be1d97225237a0c6a1cf6c9b4408ded99c141b805aa757d1fa2820c03da97e","reason":"asked","suppress":true}`
	if string(body) != want {
		t.Errorf("%s", body)
	}
	if said, err := ReadErasure(body); err != nil || said != took {
		t.Errorf("%+v, %v", said, err)
	}
	none := Actor{}.ErasureEntry(&EraseSubject{}, 0, &ledger.ErasedSet{}).BodyJSON
	if said, err := ReadErasure(none); err != nil || said != (ledger.ErasedSet{}) {
		t.Errorf("%s: %+v, %v", none, said, err)
	}
	for _, wrong := range []string{`{"events":1}`, `{"entries":"abcd","events":1}`, `{"events":-1}`, `[]`,
		`{"events":1.5}`,
		`{"events":0,"entries":"35be1d97225237a0c6a1cf6c9b4408ded99c141b805aa757d1fa2820c03da97e"}`} {
		if _, err := ReadErasure([]byte(wrong)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
