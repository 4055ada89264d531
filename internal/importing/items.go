package importing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Item is a record that is a JSON object.
type Item struct {
	JSON jsontext.Value
	Out  *Out
}

// Into reads the members that a struct names; others are passed over, and so is our error. A member of another type is
// a *Refusal.
func (i *Item) Into(to any) error {
	err := json.Unmarshal(i.JSON, to)
	if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) {
		return Refuse(string(semantic.JSONPointer), "is of another type than documented")
	}
	if err != nil {
		return Refuse("", "it is not what is documented")
	}
	return nil
}

// NewItems reads JSON objects: each on a line of its own, in an array, or in documents that hold them in a member of
// one of some names, at any depth of objects, such as the pages of a list call.
func NewItems(p *Part, lists []string, each func(*Item) error) (Reader, error) {
	in := bufio.NewReaderSize(p.Text, 64<<10)
	if err := skipSpace(in); err != nil {
		return nil, err
	}
	head, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, err
	}
	if line, _, whole := bytes.Cut(head, []byte{'\n'}); (whole || errors.Is(err, io.EOF)) && isItem(line, lists) {
		return &lineItems{lines: Lines{in: in}, each: each}, nil
	}
	d := &documentItems{lists: map[string]bool{}, each: each}
	for _, name := range lists {
		d.lists[name] = true
	}
	d.limit = bounded{in: &d.lines}
	d.lines.in = in
	d.limit.renew()
	d.in = jsontext.NewDecoder(&d.limit)
	return d, nil
}

func skipSpace(in *bufio.Reader) error {
	for {
		b, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return ErrNothing
		}
		if err != nil {
			return err
		}
		if b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return in.UnreadByte()
		}
	}
}

// isItem tells whether a line is an object that holds no list.
func isItem(line []byte, lists []string) bool {
	value := jsontext.Value(bytes.TrimSpace(line))
	if value.Kind() != '{' || !value.IsValid() {
		return false
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(value, &members) != nil {
		return false
	}
	for _, name := range lists {
		if kind := members[name].Kind(); kind == '[' || kind == '{' {
			return false
		}
	}
	return true
}

// Lines reads lines, and passes over the rest of those that are too long.
type Lines struct {
	in     *bufio.Reader
	number int64
	long   []byte
}

// next gives the next line without its end; too long ones are cut, and said to be.
func (l *Lines) next() (line []byte, tooLong bool, err error) {
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if tooLong = tooLong || len(l.long)+len(part) > MaxRecord; !tooLong {
				l.long = append(l.long, part...)
			}
			continue
		}
		if err != nil && !(errors.Is(err, io.EOF) && len(l.long)+len(part) > 0) {
			return nil, false, err
		}
		l.number++
		if len(l.long) > 0 || tooLong {
			tooLong = tooLong || len(l.long)+len(part) > MaxRecord
			part = append(l.long, part...)
			l.long = part
		}
		return bytes.TrimRight(part, "\r\n"), tooLong, nil
	}
}

// lineItems reads objects, each on a line.
type lineItems struct {
	lines  Lines
	number int64
	out    Out
	each   func(*Item) error
}

func (l *lineItems) Next(r *Record) error {
	for {
		line, tooLong, err := l.lines.next()
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		l.number++
		r.Number, r.Line, r.Source = l.number, l.lines.number, Source{}
		l.out.begin(r)
		if tooLong {
			l.out.end(Refuse("", "it is longer than %d MiB", MaxRecord>>20))
			return nil
		}
		value := jsontext.Value(bytes.TrimSpace(line))
		if value.Kind() != '{' || !value.IsValid() {
			l.out.end(Refuse("", "it is no JSON object"))
			return nil
		}
		r.Source.JSON = value
		l.out.end(l.each(&Item{JSON: value, Out: &l.out}))
		return nil
	}
}

// documentItems reads objects within JSON documents, one behind the other.
type documentItems struct {
	in     *jsontext.Decoder
	limit  bounded
	lines  lineCounter
	lists  map[string]bool
	inside []frame
	number int64
	out    Out
	each   func(*Item) error
}

// frame is an array or an object that the decoder is inside of.
type frame struct {
	array bool
	line  int64  // on which it begins
	items bool   // an object that holds items
	text  []byte // of an object that may be one itself: its members so far
}

func (d *documentItems) Next(r *Record) error {
	value, line, err := d.item()
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	if err != nil {
		return jsonError(line, err)
	}
	d.number++
	r.Number, r.Line, r.Source = d.number, line, Source{}
	d.out.begin(r)
	switch {
	case len(value) > MaxRecord:
		d.out.end(Refuse("", "it is longer than %d MiB", MaxRecord>>20))
	case value.Kind() != '{':
		d.out.end(Refuse("", "it is no JSON object"))
	default:
		r.Source.JSON = value
		d.out.end(d.each(&Item{JSON: value, Out: &d.out}))
	}
	return nil
}

func jsonError(line int64, err error) error {
	if encoding := (*EncodingError)(nil); errors.As(err, &encoding) {
		return encoding
	}
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("behind line %d: %w", line, errTooLong)
	}
	return fmt.Errorf("behind line %d: the rest cannot be read: it is no JSON, is cut off, or has a member twice", line)
}

// item finds the next item, and the line on which it begins.
func (d *documentItems) item() (jsontext.Value, int64, error) {
	for {
		d.limit.renew()
		next := d.in.PeekKind()
		line := d.lines.at(d.in.InputOffset())
		var f *frame
		if n := len(d.inside); n > 0 {
			f = &d.inside[n-1]
		}
		switch {
		case f == nil && (next == '[' || next == '{'):
			if err := d.enter(next); err != nil {
				return nil, line, err
			}
		case f == nil || f.array && next != ']':
			value, err := d.in.ReadValue()
			return value, d.lines.at(d.in.InputOffset() - int64(len(value))), err
		case next == ']' || next == '}':
			if _, err := d.in.ReadToken(); err != nil {
				return nil, line, err
			}
			closed := *f
			d.inside = d.inside[:len(d.inside)-1]
			if !closed.array && !closed.items {
				return append(closed.text, '}'), closed.line, nil
			}
		default:
			if err := d.member(f); err != nil {
				return nil, line, err
			}
		}
	}
}

// enter steps into an array or an object.
func (d *documentItems) enter(kind jsontext.Kind) error {
	_, err := d.in.ReadToken()
	d.inside = append(d.inside, frame{array: kind == '[', line: d.lines.at(d.in.InputOffset())})
	return err
}

// member reads a member of an object: items, which are stepped into, or one that the object may be an item by.
func (d *documentItems) member(f *frame) error {
	token, err := d.in.ReadToken()
	if err != nil {
		return err
	}
	name := token.String()
	if next := d.in.PeekKind(); d.lists[name] && (next == '[' || next == '{') {
		f.items, f.text = true, nil
		return d.enter(next)
	}
	value, err := d.in.ReadValue()
	if err != nil || f.items || len(f.text) > MaxRecord {
		return err
	}
	f.text = append(f.text, "{,"[min(len(f.text), 1)])
	if f.text, err = jsontext.AppendQuote(f.text, name); err != nil {
		return err
	}
	f.text = append(append(f.text, ':'), value...)
	return nil
}

// lineCounter counts lines of what is read through it, and tells on which one an offset is.
type lineCounter struct {
	in     io.Reader
	offset int64
	passed int64   // lines that ended before what breaks holds
	breaks []int64 // offsets of line ends that were read and not asked about yet
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.breaks = append(l.breaks, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at gives the line of an offset, from 1. Offsets are asked for in their order.
func (l *lineCounter) at(offset int64) int64 {
	for len(l.breaks) > 0 && l.breaks[0] < offset {
		l.breaks = l.breaks[1:]
		l.passed++
	}
	return l.passed + 1
}
