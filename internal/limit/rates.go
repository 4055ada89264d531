package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Quota is how many are let through within a window. Who has used them all gets them back one by one, evenly over the
// window. The zero Quota limits nothing.
type Quota struct {
	Count  int
	Window time.Duration
}

// On tells whether it limits anything.
func (q Quota) On() bool { return q.Count > 0 }

// Rates holds each of many, by its key, to one quota. It remembers a bounded number of them, and may be used at once
// from many goroutines.
type Rates[K comparable] struct {
	quota Quota
	most  int
	mu    sync.Mutex
	byKey map[K]*rate.Limiter
}

// NewRates makes Rates that remember so many keys at most.
func NewRates[K comparable](quota Quota, most int) *Rates[K] {
	return &Rates[K]{quota: quota, most: most, byKey: map[K]*rate.Limiter{}}
}

// Standing is what a key has of its quota at an instant.
type Standing struct {
	Allowed bool          // one more was, or would be, let through
	Left    int           // how many more are let through at once
	Full    time.Duration // until the whole quota is there again
	Wait    time.Duration // until one is there; 0 where one is
}

// Take counts one of a key's, where its quota allows one.
func (r *Rates[K]) Take(key K, now time.Time) Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byKey[key]
	if l == nil {
		if len(r.byKey) >= r.most {
			r.forgetOne(now)
		}
		l = rate.NewLimiter(rate.Limit(float64(r.quota.Count)/r.quota.Window.Seconds()), r.quota.Count)
		r.byKey[key] = l
	}
	allowed := l.AllowN(now, 1)
	return r.standing(l.TokensAt(now), allowed)
}

// Look tells how a key stands, and counts nothing.
func (r *Rates[K]) Look(key K, now time.Time) Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	tokens := float64(r.quota.Count)
	if l := r.byKey[key]; l != nil {
		tokens = l.TokensAt(now)
	}
	return r.standing(tokens, tokens >= 1)
}

func (r *Rates[K]) standing(tokens float64, allowed bool) Standing {
	each := r.quota.Window.Seconds() / float64(r.quota.Count)
	s := Standing{Allowed: allowed, Left: int(tokens), Full: seconds((float64(r.quota.Count) - tokens) * each)}
	if tokens < 1 {
		s.Wait = seconds((1 - tokens) * each)
	}
	return s
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// sampled is how many are looked at where one must be forgotten.
const sampled = 8

// forgetOne makes room: of a few, taken by chance, it drops one that has its whole quota, which changes nothing, else
// the one that has most of it. So who floods the map with keys of one use each gets rid of no key that is used up.
func (r *Rates[K]) forgetOne(now time.Time) {
	var fullest K
	most, seen := -1.0, 0
	for key, l := range r.byKey {
		if tokens := l.TokensAt(now); tokens > most {
			fullest, most = key, tokens
		}
		if seen++; seen == sampled || most >= float64(r.quota.Count) {
			break
		}
	}
	delete(r.byKey, fullest)
}
