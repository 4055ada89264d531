package store

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/engine"
)

const (
	// cachedPersons and cachedConsents bound one of the two generations of the cache: a few MiB in all.
	cachedPersons  = 4096
	cachedConsents = 4 * cachedPersons
	manyConsents   = 64 // who has more is not cached
	// maxUnchecked is how long after the last look for other processes' commits answers come from the cache.
	maxUnchecked = 2 * engine.CheckEvery
	// stripeCount is how many stripes there are. People who share one by chance are invalidated together.
	stripeCount = 1 << 13
)

// personCache is a store that answers from memory for people who were asked for lately. It needs an engine that makes
// all changes itself, and that checks whether another process made one after all: an answer is what a query would find
// that begins now. What a transaction changes is not answered from the cache from before its commit until after it, and
// what was read before a commit is never taken for newer than it. It may be used at once from many goroutines.
type personCache struct {
	service.Store
	seed maphash.Seed

	mu         sync.Mutex
	now        uint64               // goes up whenever a transaction ends that changed somebody
	validFrom  uint64               // what was read before is invalid
	checkedAt  time.Time            // when it was known last that there is no foreign commit that is not taken in
	stripes    [stripeCount]stripe  // of people and of identifiers, by their hash
	young, old map[personKey]cached // when the young generation is full, it becomes the old one
	consents   int                  // in the young generation
}

// stripe tells of the people, or the identifiers, with one hash.
type stripe struct {
	changed  uint64 // when one of them was changed last
	changing int    // transactions that are about to change one
}

// personKey is what somebody asked.
type personKey struct {
	name    consent.OwnedName
	project int
	hashed  bool // it was asked whether the name is suppressed
}

// cached is what was answered.
type cached struct {
	at uint64 // it shows everything that had ended then
	consent.Who
}

// CachePersons gives a store that is s, but answers Person from memory where it can. s must be over an engine that e
// is: one that sees all commits, its own and those of other processes.
func CachePersons(s service.Store, e engine.Watcher) service.Store {
	c := newPersonCache(s)
	e.Watch(c.checked)
	return c
}

func newPersonCache(s service.Store) *personCache {
	return &personCache{Store: s, seed: maphash.MakeSeed(), young: map[personKey]cached{}}
}

// Person implements service.Store.
func (p *personCache) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (
	consent.Who, error) {
	key := personKey{name, project, hash != nil}
	found, at, ok := p.get(key)
	if ok {
		return found.Who, nil
	}
	who, err := p.Store.Person(ctx, name, project, hash)
	if err == nil && who.Known() {
		p.put(key, cached{at, who})
	}
	return who, err
}

// Update implements service.Store.
func (p *personCache) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	changes := &personChanges{cache: p}
	defer changes.end()
	return p.Store.Update(ctx, organization, func(tx service.Tx) error { return write(&watchedTx{tx, changes}) })
}

// watchedTx is a transaction of which the cache is told what it changes.
type watchedTx struct {
	service.Tx
	changes *personChanges
}

// Append implements service.Tx.
func (t *watchedTx) Append(ctx context.Context, c *consent.Changes) error {
	t.changes.begin(c)
	return t.Tx.Append(ctx, c)
}

// get gives what is cached, where it is valid; at is for put, where it is not.
func (p *personCache) get(key personKey) (found cached, at uint64, ok bool) {
	name := p.nameStripe(key.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	found, young := p.young[key]
	if !young {
		found, ok = p.old[key]
	}
	ok = (young || ok) && time.Since(p.checkedAt) < maxUnchecked && p.unchanged(found.at, name) &&
		p.unchanged(found.at, subjectStripe(key.name.Organization, found.Subject))
	for i := 0; ok && i < len(found.Claimants); i++ {
		ok = p.unchanged(found.at, subjectStripe(key.name.Organization, found.Claimants[i]))
	}
	if ok && !young {
		p.insert(key, found) // asked for again: it stays
	}
	return found, p.now, ok
}

// unchanged tells whether what was read at some time still shows what is in a stripe.
func (p *personCache) unchanged(at uint64, stripe int) bool {
	s := &p.stripes[stripe]
	return at >= p.validFrom && at >= s.changed && s.changing == 0
}

// put caches what was read after get gave at.
func (p *personCache) put(key personKey, read cached) {
	if len(read.Consents)+len(read.Claimants) > manyConsents {
		return
	}
	read.Consents = append(make([]consent.Consent, 0, len(read.Consents)), read.Consents...) // exactly as long
	p.mu.Lock()
	defer p.mu.Unlock()
	p.insert(key, read)
}

func (p *personCache) insert(key personKey, read cached) {
	key.name.Value = strings.Clone(key.name.Value) // it may be a part of a long request, all of which would stay
	if len(p.young) >= cachedPersons || p.consents+len(read.Consents) > cachedConsents {
		p.young, p.old, p.consents = map[personKey]cached{}, p.young, 0
	}
	p.consents += len(read.Consents) - len(p.young[key].Consents)
	p.young[key] = read
}

// checked takes in what the engine found of other processes' commits; where there were some, all is invalid.
func (p *personCache) checked(at time.Time, foreign bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkedAt = at
	if !foreign {
		return
	}
	p.now++
	p.validFrom = p.now
	clear(p.young)
	p.old, p.consents = nil, 0
}

// personChanges are the stripes that a transaction changes.
type personChanges struct {
	cache   *personCache
	stripes []int
}

// begin notes changes that are about to be committed.
func (t *personChanges) begin(c *consent.Changes) {
	from := len(t.stripes)
	for i := range c.Identifiers {
		t.stripes = append(t.stripes, t.cache.nameStripe(c.Identifiers[i].OwnedName))
	}
	for _, name := range c.RemovedIdentifiers {
		t.stripes = append(t.stripes, t.cache.nameStripe(name))
	}
	for i := range c.Claims {
		t.stripes = append(t.stripes, t.cache.nameStripe(c.Claims[i].OwnedName))
	}
	for i := range c.Consents {
		t.stripes = append(t.stripes, subjectStripe(c.Consents[i].Organization, c.Consents[i].Subject))
	}
	for _, m := range slices.Concat(c.Merges, c.Unmerges) {
		t.stripes = append(t.stripes, subjectStripe(m.Organization, m.Into), subjectStripe(m.Organization, m.From))
	}
	for i := range c.RemovedClaims {
		t.stripes = append(t.stripes, t.cache.nameStripe(c.RemovedClaims[i].OwnedName))
	}
	for _, k := range c.RemovedConsents {
		t.stripes = append(t.stripes, subjectStripe(k.Organization, k.Subject))
	}
	for _, name := range c.SuppressedNames {
		t.stripes = append(t.stripes, t.cache.nameStripe(name))
	}
	for i := range c.Restrictions {
		k := &c.Restrictions[i]
		t.stripes = append(t.stripes, subjectStripe(k.Organization, k.Subject))
	}
	for _, k := range c.EndedRestrictions {
		t.stripes = append(t.stripes, subjectStripe(k.Organization, k.Subject))
	}
	for i := range c.ErasedSubjects {
		k := &c.ErasedSubjects[i]
		t.stripes = append(t.stripes, subjectStripe(k.Organization, k.Subject))
	}
	for _, k := range c.RemovedSubjects {
		t.stripes = append(t.stripes, subjectStripe(k.Organization, k.Subject))
	}
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	for _, s := range t.stripes[from:] {
		t.cache.stripes[s].changing++
	}
}

// end says that the transaction is committed, or is not to be.
func (t *personChanges) end() {
	if len(t.stripes) == 0 {
		return
	}
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	t.cache.now++
	for _, s := range t.stripes {
		t.cache.stripes[s].changing--
		t.cache.stripes[s].changed = t.cache.now
	}
}

func (p *personCache) nameStripe(n consent.OwnedName) int {
	return int(maphash.Comparable(p.seed, n) % stripeCount)
}

// subjectStripe takes the end of the ids, which is random.
func subjectStripe(organization, subject consent.ID) int {
	n := len(subject)
	return (int(organization[n-1]^subject[n-1]) | int(organization[n-2]^subject[n-2])<<8) % stripeCount
}
