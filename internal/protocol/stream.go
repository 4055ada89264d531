package protocol

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

const (
	// streamPiece is how much is written at a time. A reader who does not take one within streamPatience is cut off.
	streamPiece    = 64 << 10
	streamPatience = 30 * time.Second
	// endingPatience is streamPatience while the server ends.
	endingPatience = time.Second
)

// Streams are the answers of all calls that are sent piece by piece, for as long as the readers take them. They share
// some memory, and end with the server. It may be used at once from many goroutines.
type Streams struct {
	memory *semaphore.Weighted

	mu       sync.Mutex
	running  map[*Stream]struct{}
	patience time.Duration
	ended    bool
}

// NewStreams lets all streams together hold so many bytes.
func NewStreams(memory int64) *Streams {
	return &Streams{memory: semaphore.NewWeighted(memory), running: map[*Stream]struct{}{}, patience: streamPatience}
}

// Running tells how many there are.
func (s *Streams) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}

// Hurry cuts off every reader who takes nothing for a second from now on; for a server that ends.
func (s *Streams) Hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patience = endingPatience
	for stream := range s.running {
		stream.extend()
	}
}

// End cuts off all, and lets none begin.
func (s *Streams) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for stream := range s.running {
		stream.cancel(errEnding)
		_ = stream.control.SetWriteDeadline(time.Now())
	}
}

var errNoMemory = &consent.Error{Kind: consent.Unavailable, Msg: "too many streams are being sent; retry"}

var errEnding = &consent.Error{Kind: consent.Unavailable, Msg: "shutting down"}

// Stream is the body of an answer that is sent piece by piece. It is an io.Writer for one goroutine.
type Stream struct {
	of      *Streams
	call    *Call
	control *http.ResponseController
	cancel  context.CancelCauseFunc
	content string // the Content-Type
	file    string // see Attach
	memory  int64  // that is held
}

// Reserve takes so much more memory for the stream, until it ends. Errors: Unavailable where there is none.
func (s *Stream) Reserve(bytes int64) error {
	if !s.of.memory.TryAcquire(bytes) {
		return errNoMemory
	}
	s.memory += bytes
	return nil
}

// Stream answers a call by what send writes, for as long as it takes: the time of a request does not bound it. memory
// is how much send holds meanwhile. ctx ends when the client goes away or the server ends. An error before the first
// piece is answered like that of any call. Behind it Handle breaks the connection, so that nobody takes what was sent
// for the whole.
func (c *Call) Stream(contentType string, memory int64, send func(ctx context.Context, to *Stream) error) error {
	s := c.Streams
	if !s.memory.TryAcquire(memory) {
		return errNoMemory
	}
	ctx, cancel := context.WithCancelCause(c.Connection)
	defer cancel(nil)
	stream := &Stream{of: s, call: c, control: http.NewResponseController(c.ResponseWriter), cancel: cancel,
		content: contentType, memory: memory}
	defer func() { s.memory.Release(stream.memory) }()
	if err := stream.begin(); err != nil {
		return err
	}
	defer stream.end()
	err := send(ctx, stream)
	if err == nil && c.Status == 0 {
		stream.head()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// begin joins the others, and lifts the deadlines of a request.
func (s *Stream) begin() error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.of.ended {
		return errEnding
	}
	s.of.running[s] = struct{}{}
	s.extend()
	// net/http takes the deadline of reading the request, once it is over, for a client that has gone. The server that
	// knows no deadlines is a test's.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// end leaves the others: from here on the connection is not the stream's.
func (s *Stream) end() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	delete(s.of.running, s)
}

// extend gives the reader time for the next piece; of.mu is held.
func (s *Stream) extend() { _ = s.control.SetWriteDeadline(time.Now().Add(s.of.patience)) }

// head writes the head of the answer.
func (s *Stream) head() {
	s.call.releaseDecoded()
	s.call.Header()["Content-Type"] = []string{s.content}
	if s.file != "" {
		s.call.Header().Set("Content-Disposition", `attachment; filename="`+s.file+`"`)
	}
	s.call.WriteHeader(http.StatusOK)
	s.call.streaming = true
}

// Attach has clients save the answer as a file of that name, of letters, digits, dots and hyphens. It comes before the
// first piece; an answer that is an error has no such name.
func (s *Stream) Attach(name string) { s.file = name }

// Write sends a part of the body, in pieces. It returns when the last of them was taken.
func (s *Stream) Write(p []byte) (sent int, err error) {
	if s.call.Status == 0 {
		s.head()
	}
	for sent < len(p) {
		s.of.mu.Lock()
		ended := s.of.ended
		if !ended {
			s.extend()
		}
		s.of.mu.Unlock()
		if ended {
			return sent, errEnding
		}
		n, err := s.call.Write(p[sent:min(len(p), sent+streamPiece)])
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, fmt.Errorf("the reader took nothing for too long: %w", err)
		}
		if err != nil {
			return sent, fmt.Errorf("the reader is gone: %w", err)
		}
	}
	return sent, nil
}
