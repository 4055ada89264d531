package importing

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// said tells what a reader gives: a line a record, and how it ends.
func said(t testing.TB, reader Reader, err error) string {
	t.Helper()
	var b strings.Builder
	for err == nil {
		var r Record
		if err = reader.Next(&r); err != nil {
			break
		}
		fmt.Fprintf(&b, "%d@%d", r.Number, r.Line)
		if r.Err != nil {
			fmt.Fprintf(&b, " refused: %v", r.Err)
		}
		if r.LeftOut != "" {
			fmt.Fprintf(&b, " left out: %s", r.LeftOut)
		}
		for _, line := range r.Lines {
			fmt.Fprintf(&b, " %s", line)
		}
		b.WriteString("\n")
	}
	if !errors.Is(err, io.EOF) {
		fmt.Fprintf(&b, "ends: %v\n", err)
	}
	return b.String()
}

func part(t testing.TB, text string) *Part {
	t.Helper()
	in, err := OpenText(strings.NewReader(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return &Part{Text: in}
}

func items(t testing.TB, text string, lists ...string) string {
	t.Helper()
	reader, err := NewItems(part(t, text), lists, func(i *Item) error {
		line, err := WithoutError(i.JSON)
		i.Out.Raw(line)
		return err
	})
	return said(t, reader, err)
}

func TestItems(t *testing.T) {
	long := strings.Repeat("x", MaxRecord)
	for _, tc := range []struct{ name, text, want string }{
		{"lines", "\n{\"a\":1}\r\n\n {\"a\":2}\n", "1@1 {\"a\":1}\n2@3 {\"a\":2}\n"},
		{"the last line has no end", `{"a":1}`, "1@1 {\"a\":1}\n"},
		{"a line that is none", "{\"a\":1}\n{\"a\":\n[1]\n{\"a\":2,\"a\":3}\n{\"a\":4}\n",
			"1@1 {\"a\":1}\n2@2 refused: it is no JSON object\n3@3 refused: it is no JSON object\n" +
				"4@4 refused: it is no JSON object\n5@5 {\"a\":4}\n"},
		{"a line that is too long", "{\"a\":1}\n{\"a\":\"" + long + "\"}\n{\"a\":3}\n",
			"1@1 {\"a\":1}\n2@2 refused: it is longer than 1 MiB\n3@3 {\"a\":3}\n"},
		{"an array", "[\n{\"a\":1},\n3,{\"a\":\n2}\n]", "1@2 {\"a\":1}\n2@3 refused: it is no JSON object\n3@3 {\"a\":2}\n"},
		{"a document", "{\"total\":2,\n\"items\":[\n{\"a\":1},\n{\"a\":2}],\"more\":{\"b\":[1]}}",
			"1@3 {\"a\":1}\n2@4 {\"a\":2}\n"},
		{"pages", `{"items":[{"a":1}],"next":"x"}` + "\n" + `{"items":[]} {"items":[{"a":2}]}`,
			"1@1 {\"a\":1}\n2@2 {\"a\":2}\n"},
		{"an object inside of another", `{"data":{"results":[{"a":1},{"a":2}],"total":2}}`, "1@1 {\"a\":1}\n2@1 {\"a\":2}\n"},
		{"the item itself is inside", `{"data":{"a":1,"b":2}}`, "1@1 {\"a\":1,\"b\":2}\n"},
		{"one item in several lines", "\n{\n \"a\": 1,\n \"b\": {\"items\": [2]}\n}\n",
			"1@1 {\"a\":1,\"b\":{\"items\":[2]}}\n"},
		{"an empty object", "{ }", "1@1 {}\n"},
		{"an empty file", " \n", "ends: the file is empty\n"},
		{"cut off", "{\"items\":[\n{\"a\":1},\n{\"a\":", "1@2 {\"a\":1}\nends: behind line 2: the rest cannot be read: it is " +
			"no JSON, is cut off, or has a member twice\n"},
		{"an item that is too long", "[{\"a\":1},\n{\"a\":\"" + long + long + "\"}]",
			"1@1 {\"a\":1}\nends: behind line 1: a record is longer than 1 MiB; is a quote not closed?\n"},
		{"our error is passed over", `{"a":1,"consentd_error":"old"}`, "1@1 {\"a\":1}\n"},
	} {
		if got := items(t, tc.text, "items", "data", "results"); got != tc.want {
			t.Errorf("%s: got\n%.300swant\n%.300s", tc.name, got, tc.want)
		}
	}
}

// TestItemsAreTheSame: the same items, however they are written down, each on the line on which it stands.
func TestItemsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "items")
		space := func() string { return rapid.SampledFrom([]string{"", " ", "\n", "\r\n", "\n\n "}).Draw(t, "space") }
		var lines, document, want strings.Builder
		document.WriteString(space() + `{"count":` + fmt.Sprint(n) + `,"items":` + space() + "[")
		for i := range n {
			item := fmt.Sprintf(`{"n":%d}`, i)
			if i > 0 {
				document.WriteString(",")
			}
			document.WriteString(space())
			fmt.Fprintf(&want, "%d@%d %s\n", i+1, 1+strings.Count(strings.TrimLeft(document.String(), " \r\n"), "\n"), item)
			document.WriteString(item)
			lines.WriteString(item + "\n")
		}
		document.WriteString(space() + "]}")
		text := strings.TrimLeft(document.String(), " \r\n")
		in, err := OpenText(strings.NewReader(text), "")
		if err != nil {
			t.Fatal(err)
		}
		reader, err := NewItems(&Part{Text: in}, []string{"items"}, func(i *Item) error { i.Out.Raw(i.JSON); return nil })
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for {
			var r Record
			if err := reader.Next(&r); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			fmt.Fprintf(&got, "%d@%d %s\n", r.Number, r.Line, r.Lines[0])
		}
		if got.String() != want.String() {
			t.Fatalf("%q gives\n%s\nwant\n%s", text, &got, &want)
		}
	})
}

func TestError(t *testing.T) {
	for _, tc := range []struct{ object, with string }{
		{`{}`, `{"consentd_error":"a \"b\"\nc"}`},
		{"{ \"a\": 1 }", `{"a":1,"consentd_error":"a \"b\"\nc"}`},
		{`{"consentd_error":"old"}`, `{"consentd_error":"a \"b\"\nc"}`},
		{`{"consentd_error":["old"],"a":{"consentd_error":1}}`, `{"a":{"consentd_error":1},"consentd_error":"a \"b\"\nc"}`},
	} {
		if got, err := WithError([]byte(tc.object), "a \"b\"\nc"); err != nil || string(got) != tc.with {
			t.Errorf("%s becomes %s, %v", tc.object, got, err)
		}
	}
}
