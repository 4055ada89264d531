package slashid

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

const (
	tokenLife  = 24 * time.Hour
	tokenMost  = 16 << 10               // bytes of a token that is looked at
	claimsMost = 4 << 10                // bytes of custom claims: the token must fit a header
	seedName   = "person-token-ed25519" // of the instance's secret
)

// reservedClaims may not be custom (vendor doc, "Mint a token for a person"; the last two lines are
// those of the vendor's other tokens, and ours). Another letter case is reserved too, since some JSON decoders take it
// for the same.
var reservedClaims = strings.Fields(`
	aud exp jti iat iss nbf sub prev_token_id oid org_id user_id person_id first_token authenticated_methods
	oidc_tokens user_token groups roles access_token refresh_token id id_token gdpr gdpr_consent gdpr_consent_level
	parent_user_id parent_person_id parent_org_id parent_oid attributes custom_claims slashid slashid.dev slashid.com
	slashid.me sid
	person_type authentications groups_claim_name prev_anonymous_person_id
	azp`)

// tokens signs and verifies the tokens of people: JWTs (RFC 7519) with EdDSA (RFC 8037). It may be used at once.
type tokens struct {
	svc    *service.Service
	issuer string
	clock  func() time.Time
	loaded atomic.Pointer[signingKey]
}

// signingKey is the instance's key with the name under which it is published.
type signingKey struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
	id      string // RFC 7638 thumbprint
}

func newTokens(svc *service.Service, issuer string, clock func() time.Time) *tokens {
	return &tokens{svc: svc, issuer: issuer, clock: clock}
}

// key gives the signing key; the store makes it on first use.
func (t *tokens) key(ctx context.Context) (*signingKey, error) {
	if k := t.loaded.Load(); k != nil {
		return k, nil
	}
	seed, err := t.svc.Secret(ctx, seedName, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("the kept seed of the token key has another length than it was made with")
	}
	k := newSigningKey(seed)
	t.loaded.Store(k)
	return k, nil
}

func newSigningKey(seed []byte) *signingKey {
	private := ed25519.NewKeyFromSeed(seed)
	k := &signingKey{private: private, public: private.Public().(ed25519.PublicKey)}
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + k.x() + `"}`))
	k.id = base64.RawURLEncoding.EncodeToString(sum[:])
	return k
}

func (k *signingKey) x() string { return base64.RawURLEncoding.EncodeToString(k.public) }

// tokenClaims is what a token says: for whom, and which key answers for it.
type tokenClaims struct {
	organization, key consent.ID
	person            string
}

// sign makes a token. custom was checked by mintRequest.check.
func (t *tokens) sign(k *signingKey, says tokenClaims, custom mintRequest) (string, error) {
	now := t.clock()
	claims := jwt.MapClaims{}
	for name, value := range custom.CustomClaims {
		claims[name] = value
	}
	claims["iss"] = t.issuer
	claims["iat"] = now.Unix()
	claims["exp"] = now.Add(tokenLife).Unix()
	claims["jti"] = rand.Text()
	claims["oid"] = says.organization.String()
	claims["person_id"] = says.person
	claims["azp"] = says.key.String() // revoking this key ends the token
	claims["authenticated_methods"] = []string{"api"}
	claims["first_token"] = false
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"] = k.id
	return token.SignedString(k.private)
}

// verify reads a token that sign made and whose time is not over; false for any other.
func (t *tokens) verify(k *signingKey, text string) (tokenClaims, bool) {
	if len(text) > tokenMost {
		return tokenClaims{}, false
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(t.issuer),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(t.clock), jwt.WithStrictDecoding(),
		jwt.WithJSONNumber()) // a custom number may be greater than any float
	claims := jwt.MapClaims{} // its names match exactly; a struct's would in any letter case
	_, err := parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != k.id {
			return nil, errToken
		}
		return k.public, nil
	})
	if err != nil {
		return tokenClaims{}, false
	}
	word := func(name string) string { s, _ := claims[name].(string); return s }
	organization, ok1 := consent.ParseID(word("oid"))
	key, ok2 := consent.ParseID(word("azp"))
	says := tokenClaims{organization: organization, key: key, person: word("person_id")}
	return says, ok1 && ok2 && says.person != ""
}

// actor makes the actor of a person who shows a token. Errors: Unauthenticated.
func (t *tokens) actor(ctx context.Context, text string) (consent.Actor, error) {
	if text == "" {
		return consent.Actor{}, errToken
	}
	k, err := t.key(ctx)
	if err != nil {
		return consent.Actor{}, err
	}
	says, ok := t.verify(k, text)
	if !ok {
		return consent.Actor{}, errToken
	}
	return t.personActor(ctx, k, says)
}

// personActor makes the actor that a token speaks for. The seed is what stays secret and the same for all of a
// person's tokens, so that an answer kept for one is given to the next.
func (t *tokens) personActor(ctx context.Context, k *signingKey, says tokenClaims) (consent.Actor, error) {
	return t.svc.AuthenticatePerson(ctx, says.organization, says.key, says.person, k.private.Seed())
}

// mintToken answers POST /persons/{person_id}/mint-token. Whoever mints hands out the
// writing of consents, so the key must have that scope itself.
func (a *api) mintToken(c *protocol.Call, person string) error {
	// These are what the token will reach.
	if err := protocol.Need(c.Actor, consent.ConsentsWrite, consent.ConsentsRead); err != nil {
		return err
	}
	var body mintRequest
	if hasBody(c.Request) {
		if err := protocol.ReadJSON(c, &body); err != nil {
			return err
		}
	}
	if err := body.check(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	k, err := a.tokens.key(ctx)
	if err != nil {
		return err
	}
	says := tokenClaims{organization: c.Actor.Organization, key: c.Actor.Key, person: person}
	if err := a.reachesSomebody(ctx, k, says); err != nil {
		return err
	}
	return protocol.Reply(c, func(idempotency consent.Idempotency) (token string, err error) {
		err = a.svc.RunOnce(ctx, c.Actor, idempotency, func() (any, error) {
			token, err = a.tokens.sign(k, says, body)
			return token, err
		})
		return token, err
	}, func(token string) (protocol.Answer, error) {
		return protocol.JSON(http.StatusCreated, result[string]{token})
	})
}

// reachesSomebody refuses, with NotFound, a token that nobody could use: it looks as the token's holder would.
func (a *api) reachesSomebody(ctx context.Context, k *signingKey, says tokenClaims) error {
	person, err := a.tokens.personActor(ctx, k, says)
	if err != nil {
		return err
	}
	_, err = a.svc.Person(ctx, person, consent.PersonQuery{Identifier: userID(says.person)})
	return err
}

// check refuses claims that are not the caller's to make. Errors: Invalid.
func (r mintRequest) check() error {
	size := 0
	for name, value := range r.CustomClaims {
		for _, reserved := range reservedClaims {
			if strings.EqualFold(name, reserved) {
				return consent.Errorf(consent.Invalid, "custom_claims."+reserved, "is reserved")
			}
		}
		size += len(name) + len(value)
	}
	if size > claimsMost {
		return consent.Errorf(consent.Invalid, "custom_claims", "may have %d KiB at most", claimsMost>>10)
	}
	return nil
}

// hasBody tells whether a request has a body of one byte or more, however it is sent.
func hasBody(r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength > 0
	}
	ahead := bufio.NewReader(r.Body)
	_, err := ahead.Peek(1)
	r.Body = struct {
		io.Reader
		io.Closer
	}{ahead, r.Body}
	return !errors.Is(err, io.EOF)
}

// jwks answers GET /.well-known/jwks.json to anybody: the key that verifies tokens.
func (a *api) jwks(c *protocol.Call) error {
	k, err := a.tokens.key(c.Request.Context())
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "public, max-age=3600")
	return protocol.WriteJSON(c, http.StatusOK, jwkSet{Keys: []jwk{{
		KeyType: "OKP", Curve: "Ed25519", X: k.x(), Use: "sig", Algorithm: jwt.SigningMethodEdDSA.Alg(), KeyID: k.id,
	}}})
}
