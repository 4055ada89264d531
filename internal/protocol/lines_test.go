package protocol

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
)

// linesCall is a call whose body is of unknown length where length is negative.
func linesCall(body io.Reader, length int64) *Call {
	r := httptest.NewRequest(http.MethodPost, "/", body)
	r.ContentLength = length
	return &Call{ResponseWriter: httptest.NewRecorder(), Request: r}
}

// readLines gives all lines of a body, one that is too long as "LONG".
func readLines(c *Call) (all []string, err error) {
	lines, err := ReadLines(c)
	if err != nil {
		return nil, err
	}
	for {
		line, long, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if long {
			line = []byte("LONG")
		}
		all = append(all, string(line))
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", MaxLine)
	for what, tc := range map[string]struct {
		body string
		want []string
	}{
		"nothing":          {"", nil},
		"one without end":  {"a", []string{"a"}},
		"one":              {"a\n", []string{"a"}},
		"CRLF":             {"a\r\nb\r\n", []string{"a", "b"}},
		"blank ones":       {"\n\na\n\n", []string{"", "", "a", ""}},
		"the longest":      {longest + "\nb", []string{longest, "b"}},
		"the longest CRLF": {longest + "\r\nb", []string{longest, "b"}},
		"too long":         {longest + "x\nb\n", []string{"LONG", "b"}},
		"much too long":    {longest + longest + longest + "\nb\n", []string{"LONG", "b"}},
		"too long at last": {"a\n" + longest + "x", []string{"a", "LONG"}},
		"much at last":     {"a\n" + longest + longest, []string{"a", "LONG"}},
	} {
		for _, length := range []int64{-1, int64(len(tc.body))} {
			got, err := readLines(linesCall(strings.NewReader(tc.body), length))
			if d := cmp.Diff(tc.want, got); d != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%.300s", what, err, d)
			}
		}
	}
}

// endless gives the same line for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat("1234567\n", len(p)/8+1))
	return n, nil
}

// TestLinesAreBounded: a body that says that it is too large is refused before it is read, any other at the limit.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	if _, err := ReadLines(linesCall(endless{}, MaxLinesBody+1)); !consent.IsKind(err, consent.TooLarge) {
		t.Errorf("a body that says so: %v", err)
	}
	got, err := readLines(linesCall(endless{}, -1))
	if !consent.IsKind(err, consent.TooLarge) || len(got) != MaxLinesBody/8 {
		t.Errorf("%d lines, %v", len(got), err)
	}
	broken := io.MultiReader(strings.NewReader("a\nb"), gone{})
	if got, err := readLines(linesCall(broken, -1)); !consent.IsKind(err, consent.Invalid) || len(got) != 1 {
		t.Errorf("a body that breaks off: %v, %v", got, err)
	}
}

type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, errors.New("gone") }

// FuzzLines: the lines of a body are what splitting all of it would give, but for how they end.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\r\n\r\r\n", "\n", "x\n" + strings.Repeat("y", 5000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		want := strings.Split(body, "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		got, err := readLines(linesCall(strings.NewReader(body), -1))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d lines of %d: %v", len(got), len(want), err)
		}
		for i := range got {
			if long := strings.TrimRight(want[i], "\r"); got[i] != long && (got[i] != "LONG" || len(long) <= MaxLine) {
				t.Fatalf("line %d is %.100q, not %.100q", i, got[i], want[i])
			}
		}
	})
}
