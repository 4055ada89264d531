package limit

import "sync"

// Recent remembers which values it was told of lately: at least the last half of a number, and never more than that
// number. It may be used at once from many goroutines.
type Recent[V comparable] struct {
	half       int
	mu         sync.Mutex
	young, old map[V]struct{}
}

// NewRecent makes a Recent that remembers so many values at most.
func NewRecent[V comparable](most int) *Recent[V] {
	return &Recent[V]{half: max(most/2, 1), young: map[V]struct{}{}}
}

// Add remembers a value.
func (r *Recent[V]) Add(v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[v]; ok {
		return
	}
	if len(r.young) >= r.half { // the older half is forgotten at once
		r.old, r.young = r.young, make(map[V]struct{}, r.half)
	}
	r.young[v] = struct{}{}
}

// Has tells whether a value is remembered.
func (r *Recent[V]) Has(v V) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[v]; ok {
		return true
	}
	_, ok := r.old[v]
	return ok
}
