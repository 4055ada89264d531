package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// call is one call of the API. It is sent until it is answered, see Client.do.
type call struct {
	method string
	path   string // behind that of the organization
	query  url.Values
	body   any // nil: none
	// raw stands in the place of body, and is of contentType.
	raw         []byte
	contentType string
	accept      string
	// key is the Idempotency-Key of a write; once is true of one that has none yet.
	key     string
	once    bool
	ifMatch string
	stream  bool // the answer's body is left open
}

// do makes a call and decodes its answer into out, which may be nil.
func (c *Client) do(ctx context.Context, k call, out any) error {
	_, err := c.doTagged(ctx, k, out)
	return err
}

// doTagged is do, and gives the ETag of the answer.
func (c *Client) doTagged(ctx context.Context, k call, out any) (etag string, err error) {
	err = c.try(ctx, &k, func(res *http.Response) error {
		etag = res.Header.Get("Etag")
		body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
		if err != nil {
			return fmt.Errorf("consentd: the answer broke off: %w", err)
		}
		if len(body) > maxAnswer {
			return errTooLarge
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("%w: %w", errAnswer, err)
		}
		return nil
	})
	return etag, err
}

// try sends a call until one try was read without an error, or may not be repeated.
func (c *Client) try(ctx context.Context, k *call, read func(*http.Response) error) error {
	body, err := k.encode()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err = c.tryOnce(ctx, k, body, read)
		if try >= c.config.Tries || !retryable(ctx, err) {
			return err
		}
		if waitErr := c.wait(ctx, try, err); waitErr != nil {
			return waitErr
		}
	}
}

// encode makes the body of a call, and gives a write its key.
func (k *call) encode() ([]byte, error) {
	if k.once && k.key == "" {
		k.key = rand.Text()
	}
	if k.body == nil {
		return k.raw, nil
	}
	body, err := json.Marshal(k.body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	return body, nil
}

func (c *Client) tryOnce(ctx context.Context, k *call, body []byte, read func(*http.Response) error) error {
	if !k.stream {
		within, cancel := context.WithTimeout(ctx, c.config.TryTimeout)
		defer cancel()
		ctx = within
	}
	req, err := c.request(ctx, k, body)
	if err != nil {
		return err
	}
	res, err := c.config.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("consentd: %w", err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer res.Body.Close()
		return problemOf(res)
	}
	if !k.stream {
		defer res.Body.Close()
	}
	return read(res)
}

func (c *Client) request(ctx context.Context, k *call, body []byte) (*http.Request, error) {
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var content io.Reader = http.NoBody
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.config.Key)
	req.Header.Set("User-Agent", c.config.UserAgent)
	for name, value := range map[string]string{"Accept": k.accept, "Idempotency-Key": k.key, "If-Match": k.ifMatch} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if body != nil {
		req.Header.Set("Content-Type", cmp.Or(k.contentType, "application/json"))
	}
	return req, nil
}

// Waits between tries: a random part of first, of twice that, and so on, never more than most.
const (
	firstWait = 200 * time.Millisecond
	mostWait  = 10 * time.Second
)

// wait waits before the next try. Where that cannot be within the context or MaxWait, it gives the error of the try.
func (c *Client) wait(ctx context.Context, try int, failed error) error {
	most := min(firstWait<<min(try-1, 16), mostWait, c.config.MaxWait)
	pause := time.Duration(mathrand.Int64N(int64(most) + 1))
	if e := (*Error)(nil); errors.As(failed, &e) && e.RetryAfter > 0 {
		// Not all who were sent away come back in the same instant.
		pause += e.RetryAfter
		if e.RetryAfter > c.config.MaxWait {
			return failed
		}
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
		return failed
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, after: %w", ctx.Err(), failed)
	}
}
