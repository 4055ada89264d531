// Package witness knows how a witness is asked to cosign a checkpoint (C2SP tlog-witness, "add-checkpoint"), and takes
// nothing of its answer but what verifies. It does not know which ledgers there are, what a witness has seen before,
// when to ask, or where a cosignature is kept.
package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

// Address is where a witness is asked, and by which key its cosignatures are verified.
type Address struct {
	URL string // the submission prefix, without a slash at the end
	Key string // a public key (C2SP signed-note, "vkey") that cosigns

	cosigner *ledger.Cosigner
}

// Parse reads an address in the form URL=VKEY. The error says what is wrong without repeating it.
func Parse(text string) (*Address, error) {
	prefix, key, found := strings.Cut(text, "=")
	if !found {
		return nil, errors.New("it is not a URL and a key with = between them")
	}
	if err := checkURL(prefix); err != nil {
		return nil, err
	}
	verifier, err := ledger.NewVerifier(key)
	if err != nil {
		return nil, errors.New("what follows the first = is no public key in the form NAME+HASH+BASE64, or was mistyped")
	}
	cosigner, ok := verifier.(*ledger.Cosigner)
	if !ok {
		return nil, errors.New("the key is one that signs ledgers, and not a witness's, which begins with BA in base64")
	}
	return &Address{URL: strings.TrimRight(prefix, "/"), Key: key, cosigner: cosigner}, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("the URL cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL does not begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("the URL names no host")
	case u.User != nil:
		return errors.New("the URL holds a user or a password")
	case strings.ContainsAny(text, "?#"):
		return errors.New("the URL holds a query or a fragment")
	case u.String() != text:
		return errors.New("the URL holds a character that is written with %")
	}
	return nil
}

// Name tells witnesses apart for people: the name of the key and its hash, as in witness.example/w1+0a1b2c3d.
func (a *Address) Name() string {
	return fmt.Sprintf("%s+%08x", a.cosigner.Name(), a.cosigner.KeyHash())
}

// What a witness may answer, for errors.Is; see SizeError too. Any other error says that nobody knows: the witness
// cannot be reached, is out of order, or answered what no witness answers.
var (
	// ErrUnknown is for a ledger or a key of it that the witness does not know (404 and 403).
	ErrUnknown = errors.New("the witness does not know the ledger, or not its key")
	// ErrInconsistent is for a ledger that does not go on from what the witness has seen of it (422, and 409 where the
	// sizes are the same).
	ErrInconsistent = errors.New("the ledger does not go on from what the witness has seen of it")
)

// SizeError tells that the witness has seen another size than it was asked to go on from (409).
type SizeError struct{ Size int64 }

func (e *SizeError) Error() string { return fmt.Sprintf("the witness has seen %d entries", e.Size) }

const (
	maxAnswer  = 16 << 10 // of a body; a cosignature takes some 200 bytes
	maxHeaders = 16 << 10
	// connections is how many a witness is asked over at once.
	connections = 8
	maxProof    = 63 // lines
)

// Witness asks one witness. It is safe for use by many at once.
type Witness struct {
	*Address
	call   string
	client *http.Client
}

// New makes what asks a witness; Close ends it. It follows no redirect, and goes through a proxy where the environment
// names one (see http.ProxyFromEnvironment).
func New(a *Address) *Witness {
	return &Witness{Address: a, call: a.URL + "/add-checkpoint", client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: connections,
			MaxIdleConnsPerHost: connections, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxHeaders,
			TLSHandshakeTimeout: 5 * time.Second, DisableCompression: true, ForceAttemptHTTP2: true},
	}}
}

// Close lets go of the connections; nothing may be asked after it.
func (w *Witness) Close() { w.client.CloseIdleConnections() }

// Cosign asks to cosign a signed checkpoint, of which the witness has seen the first old entries; proof is that of
// their consistency, empty where old is 0. It gives the witness's signature line, ending in a newline, which was
// verified. It ends with the context. Errors: *SizeError, ErrUnknown, ErrInconsistent, ledger.ErrMalformed where the
// arguments are not in their form, and others. Source: C2SP tlog-witness, section "add-checkpoint".
func (w *Witness) Cosign(ctx context.Context, old int64, proof []tlog.Hash, checkpoint []byte) ([]byte, error) {
	text, err := textOf(checkpoint)
	if err != nil {
		return nil, err
	}
	said, err := ledger.ParseCheckpoint(string(text))
	if err != nil {
		return nil, err
	}
	body, err := request(old, proof, said.Size, checkpoint)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.call, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the witness: %w", err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("User-Agent", "consentd")
	response, err := w.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the witness: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the witness's answer: %w", err)
	}
	return readAnswer(w.cosigner, old, said.Size, text, response.StatusCode, answer)
}
