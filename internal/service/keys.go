package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
)

var errCredentials = &consent.Error{Kind: consent.Unauthenticated, Msg: "missing or unknown credentials"}

// configuredRoot is the root key given by the operator's configuration; zero where the store's is used.
type configuredRoot struct {
	mu    sync.RWMutex
	hash  [32]byte
	given bool
}

// Authenticate tells who has a key, in its text form. The error is
// Unauthenticated for whatever is wrong with it.
func (s *Service) Authenticate(ctx context.Context, text string) (consent.Actor, error) {
	if text == "" {
		return consent.Actor{}, errCredentials
	}
	hash := sha256.Sum256([]byte(text))
	given, isRoot := s.givenRoot(hash)
	if isRoot {
		return consent.Actor{Root: true, Key: rootID(hash), Seal: sealOf(text)}, nil
	}
	shown, err := cachedOr(&s.cache, s.cache.verified, hash, func() (verifiedKey, error) { return s.verify(ctx, text) })
	if err != nil {
		return consent.Actor{}, err
	}
	key := shown.key
	if !key.Live(s.clock()) || key.Organization == consent.NoID && given { // the configured root key stands in its place
		return consent.Actor{}, errCredentials
	}
	return consent.Actor{Organization: key.Organization, Key: key.ID, Root: key.Organization == consent.NoID,
		Scopes: key.Scopes, Seal: shown.seal}, nil
}

// verifiedKey is a key whose text was shown and found right.
type verifiedKey struct {
	key  *consent.Key
	seal [32]byte
}

// verify looks up the key of a text and compares the secret.
func (s *Service) verify(ctx context.Context, text string) (verifiedKey, error) {
	parsed, ok := parseKey(text)
	if !ok {
		return verifiedKey{}, errCredentials
	}
	key, err := s.readKey(ctx, parsed.organization, parsed.id)
	if err != nil {
		return verifiedKey{}, err
	}
	if key == nil || subtle.ConstantTimeCompare(key.SecretHash[:], parsed.secretHash[:]) != 1 {
		return verifiedKey{}, errCredentials
	}
	return verifiedKey{key, sealOf(text)}, nil
}

func sealOf(text string) [32]byte {
	h := hmac.New(sha256.New, []byte("consentd/seal/v1"))
	h.Write([]byte(text))
	return [32]byte(h.Sum(nil))
}

// AuthenticatePerson makes the actor of a person who shows a token that the
// caller has verified and that a key signed for: confined to that person's consents. It ends with the key.
// credential is anything secret that stays the same for the person.
func (s *Service) AuthenticatePerson(ctx context.Context, organization, keyID consent.ID, person string,
	credential []byte) (consent.Actor, error) {
	if err := s.vouched(ctx, organization, keyID); err != nil {
		return consent.Actor{}, err
	}
	if _, err := s.catalog(ctx, organization); err != nil {
		if consent.IsKind(err, consent.NotFound) {
			err = errCredentials
		}
		return consent.Actor{}, err
	}
	person, err := consent.Normalize(consent.UserID, person)
	if err != nil {
		return consent.Actor{}, errCredentials
	}
	return consent.Actor{Organization: organization, Key: keyID, Person: person,
		Scopes: []consent.Scope{consent.ConsentsRead, consent.ConsentsWrite}, Seal: sealOf(string(credential) + "\x00" +
			person)}, nil
}

// vouched refuses a key that is not live any more, be it the organization's or the root key.
func (s *Service) vouched(ctx context.Context, organization, keyID consent.ID) error {
	if keyID == consent.NoID {
		return errCredentials
	}
	if s.givenRootID(keyID) {
		return nil
	}
	for _, owner := range []consent.ID{organization, consent.NoID} {
		key, err := s.key(ctx, owner, keyID)
		if err != nil {
			return err
		}
		if key != nil && key.Live(s.clock()) {
			return nil
		}
	}
	return errCredentials
}

// key gives a key by its name, from memory where it is fresh; nil where there is none.
func (s *Service) key(ctx context.Context, organization, id consent.ID) (*consent.Key, error) {
	return cachedOr(&s.cache, s.cache.keys, keyName{organization, id}, func() (*consent.Key, error) {
		return s.readKey(ctx, organization, id)
	})
}

func (s *Service) readKey(ctx context.Context, organization, id consent.ID) (key *consent.Key, err error) {
	err = s.viewOnce(ctx, func(r Reader) error {
		key, err = r.Key(ctx, organization, id)
		return err
	})
	return key, err
}

// Operator gives the actor of whoever holds the data itself, for tools on the
// server's own machine. No key stands behind it, so no protocol can ask for it.
func (s *Service) Operator() consent.Actor { return consent.Actor{Root: true} }

// UseRootKey makes a value the root key for as long as the service lives; none from the store counts then.
func (s *Service) UseRootKey(value string) {
	s.root.mu.Lock()
	defer s.root.mu.Unlock()
	s.root.hash, s.root.given = sha256.Sum256([]byte(value)), true
}

// givenRoot tells whether a root key was configured, and whether this is the hash of it.
func (s *Service) givenRoot(hash [32]byte) (given, is bool) {
	s.root.mu.RLock()
	defer s.root.mu.RUnlock()
	return s.root.given, s.root.given && subtle.ConstantTimeCompare(hash[:], s.root.hash[:]) == 1
}

// givenRootID tells whether an id is that of the configured root key.
func (s *Service) givenRootID(id consent.ID) bool {
	s.root.mu.RLock()
	defer s.root.mu.RUnlock()
	return s.root.given && id == rootID(s.root.hash)
}

// rootID is the id under which a configured root key is shown: the start of a hash of its hash.
func rootID(hash [32]byte) consent.ID {
	again := sha256.Sum256(hash[:])
	return consent.ID(again[:16])
}

// CreateRootKey makes the instance's root key where there is none. Its text is
// empty where there was one already; with rotate it takes the old one's place.
func (s *Service) CreateRootKey(ctx context.Context, rotate bool) (consent.CreatedKey, error) {
	var made consent.CreatedKey
	err := s.store.Update(ctx, consent.NoID, func(tx Tx) error {
		made = consent.CreatedKey{}
		old, err := tx.Key(ctx, consent.NoID, consent.NoID)
		if err != nil || old != nil && !rotate {
			return err
		}
		changes := consent.Changes{}
		if old != nil {
			old.RevokedAt = s.now()
			changes.Keys = append(changes.Keys, *old)
		}
		made = s.makeKey(consent.NoID, consent.NewKey{Name: "root"}, false)
		changes.Keys = append(changes.Keys, made.Key)
		return tx.Append(ctx, &changes)
	})
	s.cache.drop()
	return made, classify(ctx, err)
}

// HasRootKey tells whether a root key is kept, be it in force or not.
func (s *Service) HasRootKey(ctx context.Context) (has bool, err error) {
	err = s.view(ctx, func(r Reader) error {
		key, err := r.Key(ctx, consent.NoID, consent.NoID)
		has = key != nil
		return err
	})
	return has, err
}

func (s *Service) makeKey(organization consent.ID, in consent.NewKey, test bool) consent.CreatedKey {
	var secret [secretBytes]byte
	s.read(secret[:])
	k := consent.Key{Organization: organization, ID: s.newID(), Name: in.Name, Scopes: in.Scopes,
		SecretHash: sha256.Sum256(secret[:]), CreatedAt: s.now(), ExpiresAt: in.ExpiresAt}
	return consent.CreatedKey{Key: k, Text: keyText(organization, k.ID, secret, test)}
}

// CreateKey makes a key of the actor's organization. The answer to keep is rendered from a CreatedKey.
func (s *Service) CreateKey(ctx context.Context, a consent.Actor, in consent.NewKey,
	idem consent.Idempotency) (consent.CreatedKey, error) {
	if err := a.Require(consent.OrganizationsWrite); err != nil {
		return consent.CreatedKey{}, err
	}
	d, err := s.catalog(ctx, a.Organization)
	if err != nil {
		return consent.CreatedKey{}, err
	}
	if err := s.replayed(ctx, a, idem); err != nil {
		return consent.CreatedKey{}, err
	}
	if err := s.checkNewKey(a, &in); err != nil {
		return consent.CreatedKey{}, err
	}
	var made consent.CreatedKey
	err = s.updateLedger(ctx, a, idem, func(tx Tx) (any, error) {
		made = s.makeKey(a.Organization, in, d.Organization.Test)
		changes := consent.Changes{Keys: []consent.Key{made.Key}}
		if _, err := s.addEntry(ctx, tx, a.KeyEntry(&made.Key), &changes); err != nil {
			return nil, err
		}
		return made, tx.Append(ctx, &changes)
	})
	return made, err
}

// maxName is the most characters of the name of a key or a person's record.
const maxName = 256

func (s *Service) checkNewKey(a consent.Actor, in *consent.NewKey) error {
	if n := utf8.RuneCountInString(in.Name); n < 1 || n > maxName {
		return consent.Errorf(consent.Invalid, "name", "must have 1 to %d characters", maxName)
	}
	if len(in.Scopes) == 0 {
		return consent.Errorf(consent.Invalid, "scopes", "must name at least one scope")
	}
	for i, scope := range in.Scopes {
		if !slices.Contains(consent.AllScopes, scope) {
			return consent.Errorf(consent.Invalid, fmt.Sprintf("scopes[%d]", i), "is not a scope; known are %s",
				consent.Listed(consent.AllScopes))
		}
		if !a.Has(scope) {
			return consent.Errorf(consent.Forbidden, "scopes",
				"a key may only make keys whose scopes it has itself; it lacks %s", scope)
		}
	}
	in.Scopes = slices.Compact(slices.Sorted(slices.Values(in.Scopes)))
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.now()) {
		return consent.Errorf(consent.Invalid, "expiresAt", "must be in the future")
	}
	in.ExpiresAt = in.ExpiresAt.UTC().Truncate(time.Microsecond)
	return nil
}

// MaxPage is the most items of one page of a list; DefaultPage how many where nothing is said.
const (
	MaxPage     = 1000
	DefaultPage = 100
)

// Keys lists the keys of the actor's organization after a key, in order of id.
func (s *Service) Keys(ctx context.Context, a consent.Actor, after consent.ID, limit int) ([]consent.Key, error) {
	if err := a.Require(consent.OrganizationsRead); err != nil {
		return nil, err
	}
	if _, err := s.catalog(ctx, a.Organization); err != nil {
		return nil, err
	}
	var keys []consent.Key
	err := s.view(ctx, func(r Reader) (err error) {
		keys, err = r.Keys(ctx, a.Organization, after, limit)
		return err
	})
	return keys, err
}

// RevokeKey ends a key of the actor's organization at once. Revoking it again changes nothing. The answer to keep is
// rendered from struct{}{}.
func (s *Service) RevokeKey(ctx context.Context, a consent.Actor, id consent.ID, idem consent.Idempotency) error {
	if err := a.Require(consent.OrganizationsWrite); err != nil {
		return err
	}
	defer s.cache.drop()
	return s.updateLedger(ctx, a, idem, func(tx Tx) (any, error) {
		key, err := tx.Key(ctx, a.Organization, id)
		if err != nil {
			return nil, err
		}
		if key == nil || a.Organization == consent.NoID {
			return nil, consent.Errorf(consent.NotFound, "", "key not found")
		}
		if !key.RevokedAt.IsZero() {
			return struct{}{}, nil
		}
		key.RevokedAt = s.now()
		changes := consent.Changes{Keys: []consent.Key{*key}}
		if _, err := s.addEntry(ctx, tx, a.KeyRevocationEntry(key), &changes); err != nil {
			return nil, err
		}
		return struct{}{}, tx.Append(ctx, &changes)
	})
}

// Secret gives a secret of the instance itself, such as a signing key; it is made on first use.
func (s *Service) Secret(ctx context.Context, name string, size int) ([]byte, error) {
	var secret []byte
	read := func(r Reader) (err error) {
		secret, err = r.Secret(ctx, name)
		return err
	}
	if err := s.viewOnce(ctx, read); err != nil || secret != nil {
		return secret, err
	}
	err := s.store.Update(ctx, consent.NoID, func(tx Tx) error {
		if err := read(tx); err != nil || secret != nil {
			return err
		}
		secret = make([]byte, size)
		s.read(secret)
		return tx.Append(ctx, &consent.Changes{Secrets: []consent.Secret{{Name: name, Value: secret}}})
	})
	return secret, classify(ctx, err)
}

// RunOnce keeps the answer of a call that changes nothing else, so that a retry gets it again.
func (s *Service) RunOnce(ctx context.Context, a consent.Actor, idem consent.Idempotency,
	run func() (any, error)) error {
	if idem.Key == "" {
		_, err := run()
		return err
	}
	return s.update(ctx, a, idem, func(Tx) (any, error) { return run() })
}
