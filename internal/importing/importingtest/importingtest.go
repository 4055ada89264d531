// Package importingtest holds a format to its sample files, and to what every format promises whatever it reads. It is
// for tests, and knows no format.
package importingtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/importing"
)

var update = flag.Bool("update", false, "write what formats make of their samples, to be looked at")

// Golden holds what a format makes of testdata/NAME to testdata/NAME.want: its lines, and which records it refuses or
// leaves out.
func Golden(t *testing.T, f *importing.Format, name string, o importing.Options) {
	t.Helper()
	file := filepath.Join("testdata", name)
	in, err := importing.Open(file, "")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got, err := Said(in, f, o)
	if err != nil {
		got += fmt.Sprintf("# ends: %v\n", err)
	}
	want, err := os.ReadFile(file + ".want")
	if *update {
		err = os.WriteFile(file+".want", []byte(got), 0o600)
		want = []byte(got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: -want +got\n%s", name, d)
	}
}

// Said tells what a format makes of an input: its lines, one a line, and comments of records that have none.
func Said(in *importing.Input, f *importing.Format, o importing.Options) (string, error) {
	if o.Map == nil {
		o.Map = &importing.Map{}
	}
	reader, err := importing.Read(in, f, &o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		var r importing.Record
		if err := reader.Next(&r); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return b.String(), err
		}
		where := fmt.Sprintf("# record %d, line %d", r.Number, r.Line)
		if r.Part != "" {
			where += " of " + r.Part
		}
		switch {
		case r.Err != nil:
			fmt.Fprintf(&b, "%s, refused: %v\n", where, r.Err)
		case r.LeftOut != "":
			fmt.Fprintf(&b, "%s, left out: %s\n", where, r.LeftOut)
		}
		for _, line := range r.Lines {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
}

// Text makes an input of a text.
func Text(text string) *importing.Input { return importing.OpenStream(strings.NewReader(text), "") }

// Fuzz reads anything as a format. Its samples are where it begins. Whatever it reads, a record has lines, or is
// refused, or is left out; and a line says what the server asks for.
func Fuzz(f *testing.F, format *importing.Format, o importing.Options) {
	samples, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, sample := range samples {
		if info, err := os.Stat(sample); err != nil || info.IsDir() || strings.HasSuffix(sample, ".want") {
			continue
		}
		text, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	if o.Map == nil {
		o.Map = &importing.Map{}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := importing.OpenStream(bytes.NewReader(text), "")
		options := o
		reader, err := importing.Read(in, format, &options)
		if err != nil {
			t.Fatal(err)
		}
		number := int64(0)
		for {
			var r importing.Record
			if reader.Next(&r) != nil {
				return
			}
			if number++; r.Number != number || r.Line < 1 {
				t.Fatalf("record %d is said to be %d, on line %d", number, r.Number, r.Line)
			}
			check(t, &r)
		}
	})
}

func check(t *testing.T, r *importing.Record) {
	t.Helper()
	ways := 0
	for _, is := range []bool{r.Err != nil, r.LeftOut != "", len(r.Lines) > 0} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		t.Fatalf("record %d: %d lines, left out %q, refused %v", r.Number, len(r.Lines), r.LeftOut, r.Err)
	}
	for _, line := range r.Lines {
		var members map[string]any
		if err := json.Unmarshal(line, &members); err != nil || bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("record %d: %v of %q", r.Number, err, line)
		}
	}
	if r.Source.JSON != nil {
		with, err := importing.WithError(r.Source.JSON, "a reason\nof \"two\" lines")
		if err != nil {
			t.Fatal(err)
		}
		without, err := importing.WithoutError(with)
		before, err2 := importing.WithoutError(r.Source.JSON)
		if err != nil || err2 != nil || !bytes.Equal(without, before) {
			t.Fatalf("%q became %q, and then %q (%v, %v)", before, with, without, err, err2)
		}
	}
}
