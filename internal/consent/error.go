package consent

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classes an error by what the caller can do about it.
type Kind uint8

const (
	Internal           Kind = iota // nobody classified it: shown to no client
	Invalid                        // malformed: mend the request
	Unprocessable                  // well-formed, not acceptable
	Unauthenticated                // no good credentials
	Forbidden                      // good credentials, not enough
	NotFound                       // absent, or another tenant's
	Conflict                       // the state of things forbids it
	TooLarge                       // over a limit of size
	Unavailable                    // not now: try again with the same Idempotency-Key
	PreconditionFailed             // it changed since the caller read it
	Gone                           // it was there, and was erased
)

// Error is the one error of the core. Msg is for the client and never names
// personal data; Err is for the log; Field is the place of the mistake in the
// caller's own words (see Write.Field), empty where there is none.
type Error struct {
	Kind  Kind
	Field string
	Msg   string
	Err   error
	// ErasedAt says since when it is Gone.
	ErasedAt time.Time
	// More are further mistakes of the same request, for those who show all of them.
	More []*Error
}

func (e *Error) Error() string {
	s := e.Msg
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind with a message for the client.
func Errorf(kind Kind, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// AsError finds the core's error in err; what is none, is Internal.
// The result is never nil where err is not.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Msg: "internal error", Err: err}
}

// IsKind tells whether err is of that kind.
func IsKind(err error, kind Kind) bool {
	return err != nil && AsError(err).Kind == kind
}

// Listed writes what is allowed for people: a, b, c.
func Listed[T any](all []T) string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = fmt.Sprint(one)
	}
	return strings.Join(names, ", ")
}

// ErrUnknown is the error of a write of which nobody can say whether it was done: the commit was sent, and no answer
// came.
var ErrUnknown = errors.New("it is unknown whether the write was done; " +
	"a retry with the same Idempotency-Key settles it")
