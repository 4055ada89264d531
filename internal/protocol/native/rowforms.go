package native

import (
	"io"
	"strconv"
)

// rowWriter writes the rows of an export in one form.
type rowWriter interface {
	// row writes one row; cells are those of the columns.
	row(cells []cell) error
	// flush sends what was written so far.
	flush() error
	// end writes what says that the export is whole.
	end() error
}

// flushAt is from how many bytes on rows are sent.
const flushAt = 256 << 10

// buffered is what forms write into.
type buffered struct {
	to io.Writer
	b  []byte
}

func (w *buffered) flushFull() error {
	if len(w.b) < flushAt {
		return nil
	}
	return w.flush()
}

func (w *buffered) flush() error {
	if len(w.b) == 0 {
		return nil
	}
	_, err := w.to.Write(w.b)
	w.b = w.b[:0]
	return err
}

// objects write rows as JSON objects.
type objects struct {
	columns []column
	names   []string // of each column, as it stands before the value
}

func newObjects(columns []column) objects {
	o := objects{columns, make([]string, len(columns))}
	for i := range columns {
		o.names[i] = `"` + columns[i].name + `":`
	}
	return o
}

// append writes one row.
func (o *objects) append(b []byte, cells []cell) []byte {
	b = append(b, '{')
	group := ""
	for i := range cells {
		c, of := &cells[i], &o.columns[i]
		if group != "" && of.group != group {
			b, group = append(b, '}'), ""
		}
		if of.group != group { // it is there also where it is empty
			group = of.group
			b = append(append(append(comma(b), '"'), group...), `":{`...)
		}
		if !c.set {
			continue
		}
		b = append(comma(b), o.names[i]...)
		switch of.kind {
		case textCell:
			b = append(append(append(b, '"'), c.text...), '"')
		case instantCell:
			b = append(appendMicros(append(b, '"'), c.number), '"')
		case jsonCell:
			b = append(b, c.text...)
		case numberCell:
			b = strconv.AppendInt(b, c.number, 10)
		case booleanCell:
			b = strconv.AppendBool(b, c.number != 0)
		}
	}
	if group != "" {
		b = append(b, '}')
	}
	return append(b, '}')
}

// comma appends a comma, but for the first member of an object.
func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}

// ndjson writes a JSON object a line, and a last one that says how many there were.
type ndjson struct {
	buffered
	objects objects
	written int
}

func newNDJSON(columns []column, to io.Writer) rowWriter {
	return &ndjson{buffered: buffered{to: to}, objects: newObjects(columns)}
}

func (w *ndjson) row(cells []cell) error {
	w.b = append(w.objects.append(w.b, cells), '\n')
	w.written++
	return w.flushFull()
}

func (w *ndjson) end() error {
	w.b = append(strconv.AppendInt(append(w.b, `{"end":true,"count":`...), int64(w.written), 10), '}', '\n')
	return w.flush()
}

// csv writes a line of names and then a line a row (RFC 4180).
type csv struct {
	buffered
	columns []column
}

func newCSV(columns []column, to io.Writer) rowWriter {
	w := &csv{columns: columns}
	w.to = to
	for i := range columns {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, columns[i].path()...)
	}
	w.b = append(w.b, '\r', '\n')
	return w
}

func (w *csv) row(cells []cell) error {
	b := w.b
	for i := range cells {
		c := &cells[i]
		if i > 0 {
			b = append(b, ',')
		}
		if !c.set {
			continue
		}
		switch w.columns[i].kind {
		case textCell:
			b = appendField(b, unescape(c.text))
		case jsonCell:
			b = appendField(b, c.text)
		case instantCell:
			b = appendMicros(b, c.number)
		case numberCell:
			b = strconv.AppendInt(b, c.number, 10)
		case booleanCell:
			b = strconv.AppendBool(b, c.number != 0)
		}
	}
	w.b = append(b, '\r', '\n')
	return w.flushFull()
}

// appendField appends a text as a field. One that a spreadsheet would take for a formula gets an apostrophe before it.
func appendField(b, text []byte) []byte {
	if len(text) == 0 {
		return b
	}
	quoted := false
	for _, c := range text {
		quoted = quoted || quotedInCSV[c]
	}
	if quoted {
		b = append(b, '"')
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r':
		b = append(b, '\'')
	}
	if !quoted {
		return append(b, text...)
	}
	for _, c := range text {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// quotedInCSV are the bytes that a field without quotes cannot have.
var quotedInCSV = [256]bool{',': true, '"': true, '\r': true, '\n': true}

// end writes nothing: a CSV file that is whole says so by how it is sent alone.
func (w *csv) end() error { return w.flush() }
