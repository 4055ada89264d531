package evidence

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestListsStopAtTheirBound: a list with more than the bound is refused, and what is beyond it is never made: millions
// of small members take no more memory than some copies of the file.
func TestListsStopAtTheirBound(t *testing.T) {
	const many = 500_000
	for _, c := range []struct {
		name, file, before, one, after, says string
	}{
		{"decisions", DataFile, `{"decisions": [`, `{}`, `]}`, "more than 10000 decisions"},
		{"decisions that are none", DataFile, `{"decisions": [`, `0`, `]}`, "cannot unmarshal number"},
		{"merged", DataFile, `{"person": {"merged": [`, `""`, `]}}`, "more than 100000 merged subjects"},
		{"identifiers", DataFile, `{"person": {"identifiers": [`, `{}`, `]}}`, "more than 100000 identifiers"},
		{"versions", PurposesFile, `{"versions": [`, `{}`, `]}`, "more than 10000 versions"},
		{"keys", KeysFile, `{"keys": [`, `{}`, `]}`, "more than 10000 keys"},
		{"a long line", DataFile, `{"format": "`, "much", `"}`, "a line of more than"},
		{"no UTF-8", DataFile, `{"format": "`, "\xff", `"}`, "no UTF-8"},
	} {
		files := unpacked(t, written(t, testBundle(1)))
		files[c.file] = []byte(c.before + strings.Repeat(c.one+",", many) + c.one + c.after)
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		_, err := parse(files)
		runtime.ReadMemStats(&is)
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
		if took := is.TotalAlloc - was.TotalAlloc; took > 48<<20 {
			t.Errorf("%s: %d MiB for %d MiB", c.name, took>>20, len(files[c.file])>>20)
		}
	}
}

// TestListsUpToTheirBound: a list of as many as there may be is read, and so is one that is nil or empty; what is no
// list, or has what it should not, is not.
func TestListsUpToTheirBound(t *testing.T) {
	for _, c := range []struct {
		data string
		want int // -1: it is refused
	}{
		{"null", 0}, {"[]", 0}, {`[{"key": "a"}]`, 1}, {`[{"key": "a"}, {}]`, 2}, {"[{}, {}, {}]", -1}, {"{}", -1},
		{`"[]"`, -1}, {"1", -1}, {`[{"kei": "a"}]`, -1}, {"[1]", -1}, {"[[]]", -1},
	} {
		got, err := readList[Key]([]byte(c.data), "keys", 2)
		if (err != nil) != (c.want < 0) || err == nil && len(got) != c.want {
			t.Errorf("%s: %d, %v", c.data, len(got), err)
		}
		if err == nil && (got == nil) != (c.data == "null") {
			t.Errorf("%s is written as another list", c.data)
		}
	}
}

// TestValuesHaveABound: no value of the data is so long that what is made of it takes many times as much memory as the
// file has. It is not written, and not read.
func TestValuesHaveABound(t *testing.T) {
	for name, change := range map[string]func(b *Bundle, long string){
		"a description":  func(b *Bundle, long string) { b.Versions[0].Description = long },
		"an organizer":   func(b *Bundle, long string) { b.Organization.Name = long },
		"a name":         func(b *Bundle, long string) { b.Person.Identifiers[0].Value = long },
		"what was noted": func(b *Bundle, long string) { b.Decisions[0].Body = long },
		"a key's time":   func(b *Bundle, long string) { b.Keys[0].From = long },
	} {
		for length, fine := range map[int]bool{maxLine - 100: true, maxLine: false} {
			b := testBundle(1)
			change(b, strings.Repeat("'", length))
			var out bytes.Buffer
			if err := Write(&out, b); (err == nil) != fine || !fine && (!errors.Is(err, ErrTooLarge) || out.Len() > 0) {
				t.Errorf("%s of %d bytes: %v, and %d were written", name, length, err, out.Len())
			}
			files := must(filesOf(nil, b.data()))
			if _, err := parse(files); (err == nil) != fine || !fine && !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s of %d bytes is read: %v", name, length, err)
			}
		}
	}
}
