package sealing

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// drawPart draws texts that run into each other easily.
func drawPart(t *rapid.T, name string) string {
	return rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 0, 1, 5}), 0, 10, -1).Draw(t, name)
}

// TestIndexIsUnambiguous: two identifiers have one index only where all their parts are equal.
func TestIndexIsUnambiguous(t *testing.T) {
	index, err := NewBlindIndex(newKey(t), IndexIdentifier)
	if err != nil {
		t.Fatal(err)
	}
	type identifier struct {
		kind    string
		project int
		value   string
	}
	draw := func(t *rapid.T) identifier {
		return identifier{drawPart(t, "kind"), rapid.IntRange(-1, 2).Draw(t, "project"), drawPart(t, "value")}
	}
	rapid.Check(t, func(t *rapid.T) {
		one, two := draw(t), draw(t)
		if rapid.Bool().Draw(t, "shifted") && one.value != "" { // the border between kind and value moved
			two = identifier{one.kind + one.value[:1], one.project, one.value[1:]}
		}
		of := func(i identifier) [IndexSize]byte { return index.Of(i.kind, i.project, i.value) }
		if (of(one) == of(two)) != (one == two) {
			t.Fatalf("%+v and %+v: equal %t", one, two, of(one) == of(two))
		}
	})
}

// TestIndexesShareNothing: of another organization or another use, an identifier has another index.
func TestIndexesShareNothing(t *testing.T) {
	seen := map[[IndexSize]byte]bool{}
	for range 3 {
		key := newKey(t)
		for _, use := range []IndexUse{IndexIdentifier, IndexSuppressed} {
			index, err := NewBlindIndex(key, use)
			if err != nil {
				t.Fatal(err)
			}
			seen[index.Of("email", 0, "somebody@example.org")] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d indexes of 6 differ", len(seen))
	}
	for _, use := range []IndexUse{0, indexUseCount, 255} {
		if _, err := NewBlindIndex(newKey(t), use); err == nil {
			t.Errorf("use %d gives an index", use)
		}
	}
}

// TestIndexAtOnce: many goroutines share states, and none sees another's.
func TestIndexAtOnce(t *testing.T) {
	index, err := NewBlindIndex(newKey(t), IndexIdentifier)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"", "a", "somebody@example.org", string(make([]byte, 300))}
	var want [][IndexSize]byte
	for _, value := range values {
		want = append(want, index.Of("email", 1, value))
	}
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for n := range 500 {
				i := (n + worker) % len(values)
				if index.Of("email", 1, values[i]) != want[i] {
					t.Errorf("%q has another index", values[i])
					return
				}
			}
		})
	}
	wait.Wait()
}
