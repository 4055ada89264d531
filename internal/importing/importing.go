// Package importing knows how other tools' files become lines of the native import, and nothing of servers: which file
// it is, what its text and its dates are, and what of a record is a decision. A format is a folder below it.
//
// A [Reader] gives record after record, and holds no more than one. What of a file is not a decision that somebody made
// is left out, with a reason; what may be one and cannot be read is refused, with the line and what to do. Never does a
// no, or a yes that was not confirmed, become a yes. What is read of which tool, and from which documentation, is in
// the README.
package importing

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// MaxRecord is how long one record of a file may be, in bytes of UTF-8.
const MaxRecord = 1 << 20

// The states of a decision, as the native API has them (internal/protocol/native/README.md, "Events").
const (
	Accepted  = "accepted"
	Declined  = "declined"
	Withdrawn = "withdrawn"
	Implied   = "implied"
	Viewed    = "viewed"
)

var states = []string{Accepted, Declined, Withdrawn, Implied, Viewed}

// isYes tells of a state whether something may be done by it.
func isYes(state string) bool { return state == Accepted || state == Implied }

// Line is one decision, as the native import takes it.
type Line struct {
	ExternalID     string            `json:"externalId,omitempty"` // the other tool's name of it
	Identifiers    Identifiers       `json:"identifiers,omitzero"`
	Purpose        string            `json:"purpose"` // its key
	State          string            `json:"state"`
	Action         string            `json:"action,omitempty"`
	OccurredAt     string            `json:"occurredAt"`
	ExpiresAt      string            `json:"expiresAt,omitempty"`
	PurposeVersion int               `json:"purposeVersion,omitzero"`
	Evidence       Evidence          `json:"evidence,omitzero"`
	Metadata       map[string]string `json:"metadata,omitempty"`
}

// Identifiers name a person.
type Identifiers struct {
	UserID        string `json:"userId,omitempty"`
	ProjectUserID string `json:"projectUserId,omitempty"`
	Email         string `json:"email,omitempty"`
	Phone         string `json:"phone,omitempty"`
	AnonymousID   string `json:"anonymousId,omitempty"`
}

// Evidence is what was shown, and from where the person decided.
type Evidence struct {
	DisplayedText string `json:"displayedText,omitempty"`
	NoticeURL     string `json:"noticeUrl,omitempty"`
	FormURL       string `json:"formUrl,omitempty"`
	Locale        string `json:"locale,omitempty"`
	Country       string `json:"country,omitempty"`
	IP            string `json:"ip,omitempty"`
	UserAgent     string `json:"userAgent,omitempty"`
	Domain        string `json:"domain,omitempty"`
}

// Time writes an instant as lines have it.
func Time(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999999Z07:00") }

// Record is one record of a file, and what becomes of it: lines, nothing, or a refusal.
type Record struct {
	Part   string // the file of a folder or an archive that it is in; empty: there is one
	Number int64  // within its part, from 1
	Line   int64  // of its part's text on which it begins, from 1
	// Lines are native lines, JSON without a line break. They hold until the next record is read.
	Lines   [][]byte
	LeftOut string // why it is no decision; empty: it is one
	Err     error  // why it cannot be read; then there are no lines
	Source  Source
}

// Source is a record as it stands in its file, to be written elsewhere. It holds until the next record is read.
type Source struct {
	Header []string // of a table
	Cells  []string
	JSON   []byte // of all else; nil where it is not JSON
}

// Reader gives records one by one. It is used by one goroutine.
type Reader interface {
	// Next reads the next record into r, and gives io.EOF behind the last. Another error says that the rest of the file
	// cannot be read, and where.
	Next(r *Record) error
}

// Format is one kind of file.
type Format struct {
	Name  string
	Reads string // what it reads, in a few words
	// New gives what opens the parts of one file, one after the other in their order.
	New func(o *Options) (func(p *Part) (Reader, error), error)
	// Knows tells whether a file looks like it.
	Knows func(h *Head) bool
	// Rank orders the parts of a folder or an archive: the lower first, those below 0 not at all. Nil: all by name.
	Rank func(name string) int
}

// Options say what a file does not say itself.
type Options struct {
	Dates
	Purpose string // of formats that know one list; empty: the map's
	Map     *Map   // never nil
	// OnlyProject is the project whose events are taken from an export of consentd; empty: there is one.
	OnlyProject string
}

// Refusal is why a record cannot be read. It holds no value of the record.
type Refusal struct {
	Where  string // a column or a member; empty: the record
	Reason string
}

func (r *Refusal) Error() string {
	if r.Where == "" {
		return r.Reason
	}
	return r.Where + ": " + r.Reason
}

// Refuse makes a Refusal.
func Refuse(where, format string, args ...any) error {
	return &Refusal{where, fmt.Sprintf(format, args...)}
}

// ErrNothing is of a file that has no record at all.
var ErrNothing = errors.New("the file is empty")

// Out takes what one record says.
type Out struct {
	record *Record
	buffer bytes.Buffer
	ends   []int
}

// begin empties it for a record.
func (o *Out) begin(r *Record) {
	r.Lines, r.LeftOut, r.Err = r.Lines[:0], "", nil
	o.record, o.ends = r, o.ends[:0]
	o.buffer.Reset()
}

// end puts the lines into the record, or what is wrong with it.
func (o *Out) end(err error) {
	r := o.record
	if err != nil {
		r.Err, r.LeftOut = err, ""
		return
	}
	from := 0
	for _, to := range o.ends {
		r.Lines = append(r.Lines, o.buffer.Bytes()[from:to:to])
		from = to
	}
	if len(r.Lines) > 0 {
		r.LeftOut = ""
	}
}

// LeaveOut says why something in the record is no decision. A record that has others is not left out.
func (o *Out) LeaveOut(reason string) { o.record.LeftOut = reason }

// Raw takes a native line as it is.
func (o *Out) Raw(line []byte) {
	o.buffer.Write(line)
	o.ends = append(o.ends, o.buffer.Len())
}

// maxLines is how many decisions one record may have.
const maxLines = 1000

// Add takes a decision. It is refused where it does not say who, what and when.
func (o *Out) Add(l *Line) error {
	switch {
	case l.Identifiers == Identifiers{}:
		return Refuse("", "it names nobody")
	case l.Purpose == "":
		return Refuse("purpose", "it is empty; name it with --purpose, or in the map")
	case l.OccurredAt == "":
		return Refuse("occurredAt", "there is no date")
	case !slices.Contains(states, l.State):
		return Refuse("state", "must be one of %s", strings.Join(states, ", "))
	case len(o.ends) >= maxLines:
		return Refuse("", "it has more than %d decisions", maxLines)
	}
	for _, id := range []string{l.Identifiers.UserID, l.Identifiers.ProjectUserID, l.Identifiers.Email,
		l.Identifiers.Phone, l.Identifiers.AnonymousID} {
		if strings.ContainsRune(id, '\uFFFD') {
			return Refuse("identifiers", "one has a character that could not be decoded; is --encoding right?")
		}
	}
	if err := json.MarshalWrite(&o.buffer, l, json.Deterministic(true)); err != nil {
		return Refuse("", "it cannot be written as JSON")
	}
	o.ends = append(o.ends, o.buffer.Len())
	return nil
}

// Read opens all parts of an input as one reader.
func Read(in *Input, f *Format, o *Options) (Reader, error) {
	open, err := f.New(o)
	if err != nil {
		return nil, err
	}
	next, stop := iter.Pull2(in.Parts(f.Rank))
	return &partsReader{next: next, stop: stop, open: open}, nil
}

// partsReader reads part after part.
type partsReader struct {
	next func() (*Part, error, bool)
	stop func()
	open func(*Part) (Reader, error)
	part *Part
	in   Reader
}

func (p *partsReader) Next(r *Record) error {
	for {
		if p.in == nil {
			part, err, ok := p.next()
			if !ok {
				return endOfFile
			}
			if err != nil {
				return err
			}
			p.part = part
			if p.in, err = p.open(part); err != nil {
				return p.at(err)
			}
		}
		err := p.in.Next(r)
		r.Part = p.part.Shown
		if errors.Is(err, endOfFile) {
			p.in = nil
			continue
		}
		return p.at(err)
	}
}

// at names the part in an error.
func (p *partsReader) at(err error) error {
	if err != nil && p.part.Shown != "" {
		return fmt.Errorf("%s: %w", p.part.Shown, err)
	}
	return err
}

// Close lets go of the part that is being read.
func (p *partsReader) Close() { p.stop() }

// base gives a file's name without its folder, its endings and in lower case.
func base(name string) string {
	name = strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	name, _, _ = strings.Cut(name, ".")
	return name
}
