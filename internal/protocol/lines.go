package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// Limits of a body of lines.
const (
	MaxLinesBody = 8 << 20
	MaxLine      = 256 << 10
)

// Lines reads the call's body line by line. For one goroutine.
type Lines struct {
	body *bufio.Reader
}

// ReadLines begins to read the call's body as newline-delimited JSON, of MaxLinesBody at most. It holds one line of it.
// Errors: TooLarge, 415.
func ReadLines(c *Call) (*Lines, error) {
	h := c.Request.Header
	if given := h.Get("Content-Type"); given != "" {
		kind, params, err := mime.ParseMediaType(given)
		charset, has := params["charset"]
		if err != nil || kind != "application/x-ndjson" || has && !strings.EqualFold(charset, "utf-8") {
			return nil, &StatusError{http.StatusUnsupportedMediaType, "Content-Type must be application/x-ndjson"}
		}
	}
	if h.Get("Content-Encoding") != "" {
		return nil, &StatusError{http.StatusUnsupportedMediaType, "Content-Encoding is not supported; send the body as it is"}
	}
	if c.Request.ContentLength > MaxLinesBody {
		return nil, errLinesBody
	}
	limited := http.MaxBytesReader(c.ResponseWriter, c.Request.Body, MaxLinesBody)
	return &Lines{bufio.NewReaderSize(&steps{of: c, body: limited}, MaxLine+len("\r\n"))}, nil
}

var errLinesBody = consent.Errorf(consent.TooLarge, "", "the request body may have %d bytes at most", MaxLinesBody)

// Next gives the next line without what ends it, until the one after is asked for. long tells that it has more than
// MaxLine bytes, and was passed over. io.EOF: there is none. Errors: TooLarge, Invalid, 408.
func (l *Lines) Next() (line []byte, long bool, err error) {
	line, err = l.body.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		line, err = l.body.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (len(line) > 0 || long) {
		err = nil // the last one may end without
	}
	if err != nil {
		return nil, false, linesError(err)
	}
	line = bytes.TrimRight(line, "\r\n")
	return line, long || len(line) > MaxLine, nil
}

// linesError classes what a body could not be read for.
func linesError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &tooLarge):
		return errLinesBody
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &StatusError{http.StatusRequestTimeout, "the request body came too slowly, or its sender stopped"}
	}
	return &consent.Error{Kind: consent.Invalid, Msg: "the request body could not be read to its end", Err: err}
}
