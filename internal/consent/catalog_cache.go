package consent

import (
	"context"
	"sync"
	"time"
)

// memory keeps directories and keys for a short while, so that a request reads
// only what changes. What this process changes is dropped at once; what another
// process changes is seen after freshFor.
type memory struct {
	mu          sync.Mutex
	generation  int64
	directories map[ID]cached[*Directory]
	keys        map[keyName]cached[*Key]
	shown       map[[32]byte]cached[shownKey] // by the SHA-256 of the text that was shown
}

// keyName names a key: its id alone does not, since anybody can make up a text with another's id.
type keyName struct{ organization, id ID }

type cached[T any] struct {
	value T
	until time.Time
}

const (
	freshFor  = time.Second
	maxCached = 4096 // entries of each map; past it the map starts anew
)

func newMemory() memory {
	return memory{directories: map[ID]cached[*Directory]{}, keys: map[keyName]cached[*Key]{}, shown: map[[32]byte]cached[shownKey]{}}
}

// remember gives what is cached in one of the maps, or loads it. What is loaded while a change commits is not kept.
func remember[K comparable, T any](m *memory, in map[K]cached[T], key K, load func() (T, error)) (T, error) {
	return recall(m, in, key, false, load)
}

// recall is remember; anew passes over what is cached.
func recall[K comparable, T any](m *memory, in map[K]cached[T], key K, anew bool, load func() (T, error)) (T, error) {
	now := time.Now()
	m.mu.Lock()
	entry, ok := in[key]
	generation := m.generation
	m.mu.Unlock()
	if ok && !anew && now.Before(entry.until) {
		return entry.value, nil
	}
	value, err := load()
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
func (m *memory) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	clear(m.directories)
	clear(m.keys)
	clear(m.shown)
}

// directory gives an organization, from memory where it is fresh; NotFound where there is none.
func (s *Service) directory(ctx context.Context, organization ID) (*Directory, error) {
	return remember(&s.cache, s.cache.directories, organization, func() (*Directory, error) { return s.readDirectory(ctx, organization) })
}

func (s *Service) readDirectory(ctx context.Context, organization ID) (d *Directory, err error) {
	err = s.view(ctx, func(r Reader) error {
		d, err = directoryOf(ctx, r, organization)
		return err
	})
	return d, err
}

// directoryAnew gives an organization past memory: for lists, and where a request names what is not known, since
// another server may have made it just now.
func (s *Service) directoryAnew(ctx context.Context, organization ID) (*Directory, error) {
	return recall(&s.cache, s.cache.directories, organization, true, func() (*Directory, error) { return s.readDirectory(ctx, organization) })
}

// directoryWith gives an organization that has a project; NotFound where it has not.
func (s *Service) directoryWith(ctx context.Context, organization, project ID) (*Directory, *Project, error) {
	d, err := s.directory(ctx, organization)
	if err != nil {
		return nil, nil, err
	}
	p, err := d.Project(project)
	if err == nil {
		return d, p, nil
	}
	if d, err = s.directoryAnew(ctx, organization); err == nil {
		p, err = d.Project(project)
	}
	return d, p, err
}

// directoryOf reads an organization; NotFound where there is none.
func directoryOf(ctx context.Context, r Reader, organization ID) (*Directory, error) {
	d, err := r.Directory(ctx, organization)
	if err == nil && d == nil {
		err = errNoOrganization
	}
	return d, err
}
