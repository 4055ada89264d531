//go:build !fuzz

package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// TestParquet reads an export of several row groups by another library, and holds every value against NDJSON.
func TestParquet(t *testing.T) {
	const n = parquetGroup + parquetBatch + 7
	lines := strings.Split(strings.TrimSuffix(string(exported(t, newNDJSON, n)), "\n"), "\n")
	if len(lines) != n+1 || lines[n] != fmt.Sprintf(`{"end":true,"count":%d}`, n) {
		t.Fatalf("NDJSON has %d lines and ends with %q", len(lines), lines[len(lines)-1])
	}
	want := make([]map[string]any, n)
	for i := range want {
		decoder := json.NewDecoder(strings.NewReader(lines[i]))
		decoder.UseNumber()
		if err := decoder.Decode(&want[i]); err != nil {
			t.Fatalf("%v: %s", err, lines[i])
		}
	}
	f, err := file.NewParquetReader(bytes.NewReader(exported(t, newParquet, n)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.NumRows() != n || f.NumRowGroups() != 2 {
		t.Errorf("%d rows in %d groups", f.NumRows(), f.NumRowGroups())
	}
	for i := range eventColumns {
		c := &eventColumns[i]
		got := columnOf(t, f, c)
		if len(got) != n {
			t.Errorf("%s has %d values", c.path(), len(got))
			continue
		}
		for row := range got {
			if expected := memberOf(want[row], c); got[row] != expected {
				t.Errorf("%s is %q in Parquet and %q in NDJSON, in row %d", c.path(), got[row], expected, row)
				break
			}
		}
	}
}

// columnOf reads a column of all row groups.
func columnOf(t *testing.T, f *file.Reader, c *column) (values []string) {
	t.Helper()
	schema := f.MetaData().Schema
	at := schema.ColumnIndexByName(c.path())
	logical := schema.Column(at).LogicalType().String()
	wanted := map[cellKind]string{textCell: "String", jsonCell: "JSON", numberCell: "Int(bitWidth=64, isSigned=true)",
		instantCell: "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, " +
			"force_set_converted_type=false)"}[c.kind]
	if logical != wanted && c.kind != booleanCell {
		t.Errorf("%s is a %s", c.path(), logical)
	}
	for group := range f.NumRowGroups() {
		reader, err := f.RowGroup(group).Column(at)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, valuesOf(t, reader, c.kind)...)
	}
	return values
}

func valuesOf(t *testing.T, reader file.ColumnChunkReader, kind cellKind) (values []string) {
	t.Helper()
	const batch = 1000
	levels, texts := make([]int16, batch), make([]string, batch)
	for reader.HasNext() {
		var total int64
		var err error
		switch reader := reader.(type) {
		case *file.ByteArrayColumnChunkReader:
			read := make([]parquet.ByteArray, batch)
			total, _, err = reader.ReadBatch(batch, read, levels, nil)
			for i := range read {
				texts[i] = string(read[i])
			}
		case *file.Int64ColumnChunkReader:
			read := make([]int64, batch)
			total, _, err = reader.ReadBatch(batch, read, levels, nil)
			for i := range read {
				if texts[i] = fmt.Sprint(read[i]); kind == instantCell {
					texts[i] = string(appendMicros(nil, read[i]))
				}
			}
		case *file.BooleanColumnChunkReader:
			read := make([]bool, batch)
			total, _, err = reader.ReadBatch(batch, read, levels, nil)
			for i := range read {
				texts[i] = fmt.Sprint(read[i])
			}
		default:
			t.Fatalf("a column is read by a %T", reader)
		}
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for _, level := range levels[:total] {
			if level == 0 {
				values = append(values, "absent")
				continue
			}
			values = append(values, texts[next])
			next++
		}
	}
	return slices.Clip(values)
}

// TestParquetBrokenOff: what is cut off anywhere is no Parquet file.
func TestParquetBrokenOff(t *testing.T) {
	whole := exported(t, newParquet, parquetGroup+1)
	for _, size := range []int{0, 4, len(whole) / 3, len(whole) - 1} {
		if f, err := file.NewParquetReader(bytes.NewReader(whole[:size])); err == nil {
			t.Errorf("%d of %d bytes are read as %d rows", size, len(whole), f.NumRows())
		}
	}
}
