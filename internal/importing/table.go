package importing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrorColumn is the column, and the member, in which refused records say why. Whoever reads them passes over it.
const ErrorColumn = "consentd_error"

// maxColumns is how many columns a table may have.
const maxColumns = 2000

// Row is a record of a table.
type Row struct {
	table *table
	cells []string
	Out   *Out
}

// Cell gives what stands in the first of some columns that the table has and that is not empty, without white space
// around it. Names are in lower case.
func (r *Row) Cell(names ...string) string {
	for _, name := range names {
		if at, ok := r.table.index[name]; ok {
			if cell := strings.TrimSpace(r.cells[at]); cell != "" {
				return cell
			}
		}
	}
	return ""
}

// At gives the cell of a column by its number, as it stands.
func (r *Row) At(i int) string { return r.cells[i] }

// Columns are the columns of a table, in lower case and without white space around them.
type Columns []string

// Has tells whether there is one of some columns.
func (c Columns) Has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(c, name) })
}

// table reads CSV (RFC 4180) with a header, row by row. Cells are separated by commas, semicolons or tabs, whichever
// the header has most of. Its own error column is passed over.
type table struct {
	in      *csv.Reader
	limit   *bounded
	header  []string
	columns Columns
	index   map[string]int
	number  int64
	row     Row
	out     Out
	each    func(*Row) error
}

// NewTable reads a table. begin looks at its columns, as they are looked for and as they stand, and gives what is done
// with each row; its error is of the file.
func NewTable(p *Part, begin func(c Columns, header []string) (each func(*Row) error, err error)) (Reader, error) {
	limit := &bounded{in: p.Text}
	limit.renew()
	first, err := firstLine(limit)
	if err != nil {
		return nil, err
	}
	in := csv.NewReader(io.MultiReader(bytes.NewReader(first), limit))
	in.Comma, in.ReuseRecord, in.FieldsPerRecord = separator(first), true, -1
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, ErrNothing
	}
	if err != nil {
		return nil, fileError(err)
	}
	t := &table{in: in, limit: limit, header: slices.Clone(header), index: map[string]int{}}
	if len(header) > maxColumns {
		return nil, fmt.Errorf("the header has %d columns; at most %d are read", len(header), maxColumns)
	}
	for i, name := range header {
		name = Fold(name)
		if _, twice := t.index[name]; twice && name != "" {
			return nil, fmt.Errorf("the header has column %d twice, the first is %d", i+1, t.index[name]+1)
		}
		t.index[name] = i
		t.columns = append(t.columns, name)
	}
	if i, ok := t.index[ErrorColumn]; ok && i == len(header)-1 {
		t.header, t.columns = t.header[:i], t.columns[:i]
	}
	t.row.table, t.row.Out = t, &t.out
	t.each, err = begin(t.columns, t.header)
	return t, err
}

// firstLine reads ahead to the end of the first line, quotes or not.
func firstLine(in io.Reader) ([]byte, error) {
	var head []byte
	chunk := make([]byte, 4<<10)
	for {
		n, err := in.Read(chunk)
		head = append(head, chunk[:n]...)
		if bytes.IndexByte(chunk[:n], '\n') >= 0 || errors.Is(err, io.EOF) {
			return head, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// separator finds the separator that the first line has most of, outside of quotes.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	best, most := ',', 0
	for _, comma := range ",;\t" {
		n, quoted := 0, false
		for _, b := range line {
			switch {
			case b == '"':
				quoted = !quoted
			case rune(b) == comma && !quoted:
				n++
			}
		}
		if n > most {
			best, most = comma, n
		}
	}
	return best
}

// fileError says in words what package csv found.
func fileError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) && errors.Is(err, errTooLong) {
		return fmt.Errorf("line %d: %w", parse.StartLine, errTooLong)
	}
	return err
}

func (t *table) Next(r *Record) error {
	t.limit.renew()
	cells, err := t.in.Read()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	t.number++
	r.Number, r.Source = t.number, Source{Header: t.header}
	t.out.begin(r)
	var parse *csv.ParseError
	if errors.As(err, &parse) && (errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote)) {
		r.Line, r.Source.Cells = int64(parse.StartLine), slices.Clone(cells)
		t.out.end(Refuse("", "a quote stands where none may: cells with quotes in them are quoted, and theirs doubled"))
		return nil
	}
	if err != nil {
		line, _ := t.in.FieldPos(0)
		if errors.Is(err, errTooLong) {
			return fmt.Errorf("behind line %d: %w", line, errTooLong)
		}
		return err
	}
	line, _ := t.in.FieldPos(0)
	r.Line = int64(line)
	r.Source.Cells = cells[:min(len(cells), len(t.header))]
	if n := len(t.index); len(cells) != len(t.header) && len(cells) != n {
		r.Source.Cells = cells
		t.out.end(Refuse("", "it has %d cells, and the header %d", len(cells), len(t.header)))
		return nil
	}
	t.row.cells = cells
	t.out.end(t.each(&t.row))
	return nil
}
