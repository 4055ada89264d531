package importing

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tableOf reads a table whose rows become a line with the cells in it.
func tableOf(t testing.TB, text string) string {
	t.Helper()
	reader, err := NewTable(part(t, text), func(columns Columns, _ []string) (func(*Row) error, error) {
		return func(r *Row) error {
			var cells []string
			for _, column := range columns {
				cells = append(cells, r.Cell(column))
			}
			r.Out.Raw(fmt.Appendf(nil, "%q", cells))
			return nil
		}, nil
	})
	return said(t, reader, err)
}

func TestTable(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"commas", "a,b\n1, 2 \n", "1@2 [\"1\" \"2\"]\n"},
		{"semicolons", "a;b\r\n1,5;2\r\n", "1@2 [\"1,5\" \"2\"]\n"},
		{"tabs", "a\tb\n1\t2", "1@2 [\"1\" \"2\"]\n"},
		{"a separator within quotes", "\"a;b;c\",d\n1,2\n", "1@2 [\"1\" \"2\"]\n"},
		{"a line break within quotes", "a,b\n\"1\r\n2\",3\n\n4,\"5 \"\"6\"\"\"\n",
			"1@2 [\"1\\n2\" \"3\"]\n2@5 [\"4\" \"5 \\\"6\\\"\"]\n"},
		{"our column", "a,consentd_error\n1,old\n2,\n", "1@2 [\"1\"]\n2@3 [\"2\"]\n"},
		{"too many and too few cells", "a,b\n1,2,3\n1\n1,2\n",
			"1@2 refused: it has 3 cells, and the header 2\n2@3 refused: it has 1 cells, and the header 2\n3@4 [\"1\" \"2\"]\n"},
		{"a quote where none may be", "a,b\n1\"2,3\n4,5\n",
			"1@2 refused: a quote stands where none may: cells with quotes in " +
				"them are quoted, and theirs doubled\n2@3 [\"4\" \"5\"]\n"},
		{"the header alone", "a,b\n", ""},
		{"nothing", "", "ends: the file is empty\n"},
		{"a column twice", "a,b,A\n", "ends: the header has column 3 twice, the first is 1\n"},
		{"a quote that is not closed", "a,b\n1,2\n\"1,2\n" + strings.Repeat("1,2\n", MaxRecord/3),
			"1@2 [\"1\" \"2\"]\nends: behind line 3: a record is longer than 1 MiB; is a quote not closed?\n"},
		{"a wrong byte", "a,b\n1,2\n1,\xE9\n", "1@2 [\"1\" \"2\"]\nends: line 3: not valid UTF-8 (byte 0xE9; is the file " +
			"Windows-1252? give --encoding windows-1252)\n"},
	} {
		if got := tableOf(t, tc.text); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, got, tc.want)
		}
	}
}

// TestTableIsReadBack writes tables as package csv does, with a separator of three, and reads them.
func TestTableIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.SampledFrom([]string{"", "a", "é", "1,5", "x;y;z", "\"", "a\nb", "\t", "'", "\uFEFF"})
		width := rapid.IntRange(2, 5).Draw(t, "columns")
		var stored bytes.Buffer
		w := csv.NewWriter(&stored)
		w.Comma = rapid.SampledFrom([]rune{',', ';', '\t'}).Draw(t, "separator")
		w.UseCRLF = rapid.Bool().Draw(t, "CRLF")
		header := []string{"c0", "c1", "c2", "c3", "c4"}[:width]
		rows := rapid.SliceOf(rapid.SliceOfN(cell, width, width)).Draw(t, "rows")
		if err := w.WriteAll(append([][]string{header}, rows...)); err != nil {
			t.Fatal(err)
		}
		in, err := OpenText(&stored, "")
		if err != nil {
			t.Fatal(err)
		}
		reader, err := NewTable(&Part{Text: in}, func(Columns, []string) (func(*Row) error, error) {
			return func(r *Row) error { r.Out.Raw(nil); return nil }, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			var r Record
			if err = reader.Next(&r); err != nil || !slices.Equal(r.Source.Cells, row) || !slices.Equal(r.Source.Header,
				header) {
				t.Fatalf("%q, %v; want %q", r.Source.Cells, err, row)
			}
		}
		if err := reader.Next(&Record{}); err != io.EOF {
			t.Fatal(err)
		}
	})
}

// TestLargeFilesAreRead: the bound is of a record, and what is kept of one that is too long is bounded.
func TestLargeFilesAreRead(t *testing.T) {
	if got := tableOf(t, "a,b\n"+strings.Repeat("1,2\n", MaxRecord)); strings.Count(got, "\n") != MaxRecord ||
		strings.Contains(got, "ends") {
		t.Errorf("%d rows, and %.60q at the end", strings.Count(got, "\n"), got[max(0, len(got)-60):])
	}
	lines := Lines{in: bufio.NewReader(strings.NewReader(strings.Repeat("x", 16*MaxRecord) + "\ny"))}
	for _, want := range []bool{true, false} {
		if _, tooLong, err := lines.next(); tooLong != want || err != nil {
			t.Errorf("too long: %v, %v", tooLong, err)
		}
	}
	if cap(lines.long) > 2*MaxRecord {
		t.Errorf("%d bytes of a line were kept", cap(lines.long))
	}
}
