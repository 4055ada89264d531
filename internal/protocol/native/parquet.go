package native

import (
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

const (
	// parquetGroup is how many rows a row group has: one of them is in memory until it is sent, and what the footer says
	// of each until the end.
	parquetGroup = 20_000
	// parquetBatch is how many rows are handed over at a time, column by column.
	parquetBatch = 250
	parquetPage  = 128 << 10
	// parquetDictionary is how large the different values of a column may grow before they are written as they are.
	parquetDictionary = 128 << 10
)

// parquetFile writes an Apache Parquet file: groups are required, their members optional. Without its footer, which
// comes last, it cannot be read.
type parquetFile struct {
	file    *parquet.GenericWriter[any]
	columns []column
	leaves  []int // of each column, its number in the file, where they stand by name
	values  [][]parquet.Value
	texts   []byte // of the batch
	batch   int
	group   int
}

func newParquet(columns []column, to io.Writer) rowWriter {
	root, groups := parquet.Group{}, map[string]parquet.Group{}
	for i := range columns {
		c := &columns[i]
		in := root
		if c.group != "" {
			if groups[c.group] == nil {
				groups[c.group] = parquet.Group{}
			}
			in = groups[c.group]
		}
		in[c.name] = parquet.Compressed(parquet.Optional(parquetNode(c)), &parquet.Snappy)
	}
	for name, group := range groups {
		root[name] = group
	}
	schema := parquet.NewSchema("row", root)
	w := &parquetFile{columns: columns, leaves: make([]int, len(columns)), values: make([][]parquet.Value, len(columns)),
		file: parquet.NewGenericWriter[any](to, schema, parquet.PageBufferSize(parquetPage),
			parquet.WriteBufferSize(streamBuffer), parquet.DictionaryMaxBytes(parquetDictionary),
			parquet.CreatedBy("consentd", "", ""))}
	for n, path := range schema.Columns() {
		at := slices.IndexFunc(columns, func(c column) bool { return c.path() == strings.Join(path, ".") })
		w.leaves[at] = n
	}
	return w
}

// streamBuffer is how much is put together before it is sent.
const streamBuffer = 64 << 10

func parquetNode(c *column) parquet.Node {
	switch c.kind {
	case numberCell:
		return parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	case instantCell:
		return parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
	case booleanCell:
		return parquet.Leaf(parquet.BooleanType)
	case jsonCell:
		return parquet.JSON()
	}
	if c.few {
		return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	}
	return parquet.String()
}

func (w *parquetFile) row(cells []cell) error {
	for i := range cells {
		w.values[i] = append(w.values[i], w.value(i, &cells[i]))
	}
	if w.batch++; w.batch == parquetBatch {
		return w.handOver()
	}
	return nil
}

func (w *parquetFile) value(i int, c *cell) parquet.Value {
	leaf := w.leaves[i]
	if !c.set {
		return parquet.NullValue().Level(0, 0, leaf)
	}
	switch w.columns[i].kind {
	case numberCell, instantCell:
		return parquet.Int64Value(c.number).Level(0, 1, leaf)
	case booleanCell:
		return parquet.BooleanValue(c.number != 0).Level(0, 1, leaf)
	case textCell:
		return w.text(unescape(c.text)).Level(0, 1, leaf)
	}
	return w.text(c.text).Level(0, 1, leaf)
}

// text keeps a text until the batch is handed over.
func (w *parquetFile) text(text []byte) parquet.Value {
	at := len(w.texts)
	w.texts = append(w.texts, text...)
	return parquet.ByteArrayValue(w.texts[at:len(w.texts):len(w.texts)])
}

// handOver gives the batch to the columns, and sends the row group where it is full.
func (w *parquetFile) handOver() error {
	writers := w.file.ColumnWriters()
	for i := range w.values {
		if _, err := writers[w.leaves[i]].WriteRowValues(w.values[i]); err != nil {
			return err
		}
		w.values[i] = w.values[i][:0]
	}
	w.group += w.batch
	w.texts, w.batch = w.texts[:0], 0
	if w.group < parquetGroup {
		return nil
	}
	w.group = 0
	return w.file.Flush()
}

// flush sends nothing: row groups are sent whole.
func (w *parquetFile) flush() error { return nil }

func (w *parquetFile) end() error {
	if w.batch > 0 {
		if err := w.handOver(); err != nil {
			return err
		}
	}
	return w.file.Close()
}
