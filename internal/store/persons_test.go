package store

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

func userNamed(name string) consent.OwnedName {
	return consent.OwnedName{Organization: consent.ID{15: 1}, Identifier: consent.Identifier{Kind: consent.UserID,
		Value: name}}
}

// newCache gives a cache that takes all for checked during the next hour.
func newCache() *personCache {
	p := newPersonCache(nil)
	p.checked(time.Now().Add(time.Hour), false)
	return p
}

// TestCachedNamesHoldNothingElse: a name may be a part of a request of many kilobytes, which must not stay with it.
func TestCachedNamesHoldNothingElse(t *testing.T) {
	p := newCache()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for round := range 3 { // from the young generation, from the old one, and again
		for i := range cachedPersons {
			request := fmt.Sprint(i) + strings.Repeat("x", 16<<10)
			q := personKey{userNamed(request[:len(fmt.Sprint(i))]), 1, false}
			if _, at, ok := p.get(q); !ok {
				p.put(q, cached{at, consent.Who{Subject: consent.ID{14: byte(i >> 8), 15: byte(i)}}})
			} else if round == 0 {
				t.Fatal("known before")
			}
		}
		for i := range cachedPersons / 2 { // the generations change places
			q := personKey{userNamed(fmt.Sprint("other ", round, " ", i)), 1, false}
			p.put(q, cached{Who: consent.Who{Subject: consent.ID{13: 1}}})
		}
		if grown := heap() - before; grown > 8<<20 {
			t.Fatalf("round %d: memory grew by %d KiB", round, grown>>10)
		}
	}
	runtime.KeepAlive(p)
}

// TestInvalidatedWhileRead: what was read before a foreign commit is invalid too, though it comes later.
func TestInvalidatedWhileRead(t *testing.T) {
	p := newCache()
	q := personKey{consent.OwnedName{Identifier: consent.Identifier{Value: "ada"}}, 1, false}
	_, at, _ := p.get(q)
	p.checked(time.Now().Add(time.Hour), true)
	p.put(q, cached{at, consent.Who{Subject: consent.ID{15: 1}}})
	if _, _, ok := p.get(q); ok {
		t.Error("an answer from before is cached")
	}
}

// TestPersonsAreBounded: whoever is asked for, memory has an end, and those who are asked for again and again stay.
func TestPersonsAreBounded(t *testing.T) {
	p := newCache()
	ask := func(i, consents int) bool {
		q := personKey{userNamed(fmt.Sprint(i)), 1, false}
		_, at, ok := p.get(q)
		if !ok {
			p.put(q, cached{at, consent.Who{Subject: consent.ID{14: byte(i >> 8), 15: byte(i)},
				Consents: make([]consent.Consent, consents)}})
		}
		return ok
	}
	for _, consents := range []int{0, 1, 4, 30, manyConsents} {
		known := 0
		for i := range 5 * cachedPersons {
			ask(i, consents)
			if i%64 == 0 && ask(-1, 1) {
				known++
			}
			held := 0
			if i%1024 == 0 {
				for _, generation := range []map[personKey]cached{p.young, p.old} {
					for _, one := range generation {
						held += len(one.Consents)
					}
				}
			}
			if len(p.young)+len(p.old) > 2*cachedPersons || held > 2*cachedConsents {
				t.Fatalf("%d persons, %d consents are cached", len(p.young)+len(p.old), held)
			}
		}
		if most := 5 * cachedPersons / 64; known < most-2 {
			t.Errorf("%d consents each: who was asked for all the time was known %d times of %d", consents, known, most)
		}
	}
	if ask(-2, manyConsents+1); ask(-2, 0) {
		t.Error("a person with very many consents is cached")
	}
}
