package server

import (
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/protocol"
)

// Limits says how often clients may call this server. The zero value lets everything through.
type Limits struct {
	Key          limit.Quota      // requests of each key, people's tokens that it signed for included
	Organization limit.Quota      // requests about each organization
	Failures     limit.Quota      // wrong credentials from each address; of IPv6, from each /64
	Clock        func() time.Time // nil: time.Now
}

// How much is remembered, whatever comes. What is forgotten has its whole quota again.
const (
	limitedCallers = 16384 // keys, organizations and addresses, of each so many
	goodRemembered = 32768 // credentials
)

// limits implements protocol.Limits.
type limits struct {
	Limits
	keys          *limit.Rates[consent.ID]
	organizations *limit.Rates[consent.ID]
	failures      *limit.Rates[netip.Prefix]
	good          *limit.Recent[uint64] // hashes of credentials; nobody outside can make two that have the same one
	seed          maphash.Seed
	refused       func(of string)
}

var _ protocol.Limits = (*limits)(nil)

// The names of the limits, in headers and metrics.
const (
	ofKey          = "key"
	ofOrganization = "organization"
	ofFailures     = "failures"
)

// newLimits makes the state of the limits, nil where there is none. refused is told of each request that one refused.
func newLimits(o Limits, refused func(of string)) protocol.Limits {
	if !o.Key.On() && !o.Organization.On() && !o.Failures.On() {
		return nil
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &limits{Limits: o, refused: refused, seed: maphash.MakeSeed(),
		keys:          limit.NewRates[consent.ID](o.Key, limitedCallers),
		organizations: limit.NewRates[consent.ID](o.Organization, limitedCallers),
		failures:      limit.NewRates[netip.Prefix](o.Failures, limitedCallers),
		good:          limit.NewRecent[uint64](goodRemembered)}
}

// Admit implements protocol.Limits.
func (l *limits) Admit(header http.Header, client netip.Addr, credential string) error {
	if !l.Failures.On() {
		return nil
	}
	s := l.failures.Look(network(client), l.Clock())
	if s.Allowed || l.good.Has(maphash.String(l.seed, credential)) {
		return nil
	}
	return l.refuse(header, ofFailures, s, "too many wrong credentials came from this address")
}

// Wrong implements protocol.Limits.
func (l *limits) Wrong(client netip.Addr) {
	if l.Failures.On() {
		l.failures.Take(network(client), l.Clock())
	}
}

// Good implements protocol.Limits.
func (l *limits) Good(credential string) {
	if l.Failures.On() {
		l.good.Add(maphash.String(l.seed, credential))
	}
}

// Count implements protocol.Limits.
func (l *limits) Count(header http.Header, actor consent.Actor) error {
	return l.count(header, ofKey, l.Key, l.keys, actor.Key)
}

// CountOrganization implements protocol.Limits. A call that is about no organization, such as one that makes one, is
// the root key's alone.
func (l *limits) CountOrganization(header http.Header, actor consent.Actor) error {
	if actor.Organization == consent.NoID {
		return nil
	}
	return l.count(header, ofOrganization, l.Organization, l.organizations, actor.Organization)
}

// count takes one of a quota and says in the header what is left (draft-ietf-httpapi-ratelimit-headers).
func (l *limits) count(header http.Header, of string, quota limit.Quota, rates *limit.Rates[consent.ID],
	id consent.ID) error {
	if !quota.On() {
		return nil
	}
	s := rates.Take(id, l.Clock())
	name := `"` + of + `"`
	add(header, "RateLimit-Policy", name+";q="+strconv.Itoa(quota.Count)+";w="+strconv.Itoa(wholeSeconds(quota.Window)))
	add(header, "RateLimit", name+";r="+strconv.Itoa(s.Left)+";t="+strconv.Itoa(wholeSeconds(s.Full)))
	if s.Allowed {
		return nil
	}
	return l.refuse(header, of, s, fmt.Sprintf("this %s has made more than %d requests in %s", of, quota.Count,
		quota.Window))
}

// add adds an item to a header that is a list. Its name is spelt as the draft does, not as net/http would.
func add(header http.Header, name, item string) {
	if before := header[name]; len(before) > 0 {
		item = before[0] + ", " + item
	}
	header[name] = []string{item}
}

// refuse makes the error of a request that a limit does not let through.
func (l *limits) refuse(header http.Header, of string, s limit.Standing, why string) error {
	l.refused(of)
	wait := strconv.Itoa(max(wholeSeconds(s.Wait), 1))
	header.Set("Retry-After", wait)
	return &protocol.StatusError{Status: http.StatusTooManyRequests, Msg: why + "; retry in " + wait + " s"}
}

// wholeSeconds rounds up: who waits so long does not come too early.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// networkBits are those that all IPv6 addresses of one household or machine mostly share.
const networkBits = 64

// network is what counts as one address: an IPv4 address, the /64 of an IPv6 one. All without an address are one.
func network(client netip.Addr) netip.Prefix {
	if !client.IsValid() {
		return netip.Prefix{}
	}
	prefix, _ := client.Prefix(min(client.BitLen(), networkBits)) // of a valid address it does not fail
	return prefix
}
