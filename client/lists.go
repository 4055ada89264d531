package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// pageSize is how many items of a list are asked for at once.
const pageSize = 500

// list goes through all pages of a list. An error ends it.
func list[T any](ctx context.Context, c *Client, path string, filter url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := url.Values{}
		for name, values := range filter {
			query[name] = values
		}
		query.Set("limit", strconv.Itoa(pageSize))
		for {
			var page struct {
				Items      []T    `json:"items"`
				NextCursor string `json:"nextCursor"`
			}
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &page); err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			query.Set("cursor", page.NextCursor)
		}
	}
}

// ErrCutOff is of a stream that ended before the server had sent all of it. What was read until then is right; the
// rest is missing.
var ErrCutOff = errors.New("consentd: the stream was cut off")

// maxLine is the largest line of a stream that is read.
const maxLine = 4 << 20

// stream goes through all of a list in one answer, as newline-delimited JSON. It ends with an error unless the last
// line says that it is the last, and how many there were.
func stream[T any](ctx context.Context, c *Client, path string, filter url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // whoever stops early lets the server stop too
		var res *http.Response
		k := call{method: http.MethodGet, path: path, query: filter, accept: "application/x-ndjson", stream: true}
		if err := c.try(ctx, &k, func(r *http.Response) error { res = r; return nil }); err != nil {
			yield(zero, err)
			return
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(make([]byte, 64<<10), maxLine)
		for count := 0; lines.Scan(); count++ {
			if end, ok, err := endOf(lines.Bytes()); ok {
				if err == nil && end != count {
					err = fmt.Errorf("%w: %d of %d came", ErrCutOff, count, end)
				}
				if err != nil {
					yield(zero, err)
				}
				return
			}
			var item T
			if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
				yield(zero, fmt.Errorf("%w: line %d: %w", ErrCutOff, count+1, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		yield(zero, errors.Join(ErrCutOff, lines.Err()))
	}
}

// endOf reads the last line of a stream; ok is false of any other one.
func endOf(line []byte) (count int, ok bool, err error) {
	if !bytes.HasPrefix(line, []byte(`{"end":`)) {
		return 0, false, nil
	}
	end := struct {
		End   bool `json:"end"`
		Count int  `json:"count"`
	}{Count: -1}
	if json.Unmarshal(line, &end) != nil || !end.End || end.Count < 0 {
		err = ErrCutOff
	}
	return end.Count, true, err
}

// query makes a query of what is not empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
