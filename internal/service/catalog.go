package service

import (
	"context"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// cache keeps catalogs and keys for a short while, so that a request reads
// only what changes. What this process changes is dropped at once; what another
// process changes is seen after freshFor.
type cache struct {
	mu         sync.Mutex
	generation int64
	catalogs   map[consent.ID]cached[*consent.Catalog]
	keys       map[keyName]cached[*consent.Key]
	verified   map[[32]byte]cached[verifiedKey] // by the SHA-256 of the text that was shown
}

// keyName names a key: its id alone does not, since anybody can make up a text with another's id.
type keyName struct{ organization, id consent.ID }

type cached[T any] struct {
	value T
	until time.Time
}

const (
	freshFor  = time.Second
	maxCached = 4096 // entries of each map; past it the map starts anew
)

func newCache() cache {
	return cache{catalogs: map[consent.ID]cached[*consent.Catalog]{}, keys: map[keyName]cached[*consent.Key]{},
		verified: map[[32]byte]cached[verifiedKey]{}}
}

// cachedOr gives what is cached in one of the maps, or loads it.
func cachedOr[K comparable, T any](m *cache, in map[K]cached[T], key K, read func() (T, error)) (T, error) {
	m.mu.Lock()
	entry, ok := in[key]
	m.mu.Unlock()
	if ok && time.Now().Before(entry.until) {
		return entry.value, nil
	}
	return load(m, in, key, read)
}

// load reads what belongs into one of the maps. What is read while a change commits is not kept.
func load[K comparable, T any](m *cache, in map[K]cached[T], key K, read func() (T, error)) (T, error) {
	m.mu.Lock()
	now, generation := time.Now(), m.generation
	m.mu.Unlock()
	value, err := read()
	if err != nil {
		return value, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation == generation {
		if len(in) >= maxCached {
			clear(in)
		}
		in[key] = cached[T]{value, now.Add(freshFor)}
	}
	return value, nil
}

// drop forgets everything: called after each change of an organization or a key.
func (m *cache) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	clear(m.catalogs)
	clear(m.keys)
	clear(m.verified)
}

// seenByAll waits until no other server answers any more from what it read before a change that is committed. So who is
// told of the change finds it, whichever server is asked next.
func (s *Service) seenByAll(ctx context.Context) error {
	if !s.store.Shared() {
		return nil
	}
	select {
	case <-time.After(freshFor):
		return nil
	case <-ctx.Done():
		return classify(ctx, ctx.Err())
	}
}

// catalog gives an organization, from memory where it is fresh; NotFound where there is none.
func (s *Service) catalog(ctx context.Context, organization consent.ID) (*consent.Catalog, error) {
	return cachedOr(&s.cache, s.cache.catalogs, organization, func() (*consent.Catalog, error) {
		return s.readCatalog(ctx, organization)
	})
}

func (s *Service) readCatalog(ctx context.Context, organization consent.ID) (d *consent.Catalog, err error) {
	err = s.view(ctx, func(r Reader) error {
		d, err = catalogOf(ctx, r, organization)
		return err
	})
	return d, err
}

// freshCatalog gives an organization past memory: for lists, and where a request names what is not known, since
// another server may have made it just now.
func (s *Service) freshCatalog(ctx context.Context, organization consent.ID) (*consent.Catalog, error) {
	return load(&s.cache, s.cache.catalogs, organization, func() (*consent.Catalog, error) {
		return s.readCatalog(ctx, organization)
	})
}

// catalogWith gives an organization that has a project; NotFound where it has not.
func (s *Service) catalogWith(ctx context.Context, organization, project consent.ID) (*consent.Catalog,
	*consent.Project, error) {
	return s.catalogFinding(ctx, organization, func(d *consent.Catalog) (*consent.Project, error) {
		return d.Project(project)
	})
}

// catalogFinding gives an organization with the project that find finds in it. What is not found may have been made by
// another server just now.
func (s *Service) catalogFinding(ctx context.Context, organization consent.ID,
	find func(*consent.Catalog) (*consent.Project, error)) (*consent.Catalog, *consent.Project, error) {
	d, err := s.catalog(ctx, organization)
	if err != nil {
		return nil, nil, err
	}
	p, err := find(d)
	if err == nil {
		return d, p, nil
	}
	if d, err = s.freshCatalog(ctx, organization); err == nil {
		p, err = find(d)
	}
	return d, p, err
}

// catalogOf reads an organization; NotFound where there is none.
func catalogOf(ctx context.Context, r Reader, organization consent.ID) (*consent.Catalog, error) {
	d, err := r.Catalog(ctx, organization)
	if err == nil && d == nil {
		err = consent.ErrNoOrganization
	}
	return d, err
}
