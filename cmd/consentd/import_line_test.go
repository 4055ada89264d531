package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentd/consentd/client"
)

func TestImportCommandLine(t *testing.T) {
	t.Parallel()
	file := writeTemp(t, "people.csv", mixed)
	for args, says := range map[string]string{
		"":                   "missing flags: --source=NAME",
		"--source a":         "no API key: give it by CONSENTD_KEY, --key-file or --key",
		"--source a --key x": "name it with --organization",
		"--source a --key x --organization o --url ftp://x":    "--url must be http:// or https://",
		"--source a --dates ymd":                               `--dates: "ymd" is no order; allowed: dmy, mdy`,
		"--source a --timezone Berlin":                         `--timezone: "Berlin" is not known`,
		"--source a --map nowhere.yaml":                        "--map: open nowhere.yaml",
		"--source a --key x --organization o --format excel":   `--format: "excel" is not known; allowed: auto, ndjson`,
		"--source a --key x --organization o --encoding utf-9": `--encoding: "utf-9" is not known`,
		"--source a --key-file " + file + "x":                  "--key-file: open",
	} {
		p := command(t, []string{"CONSENTD_URL=http://127.0.0.1:1"},
			append([]string{"import", file}, strings.Fields(args)...)...)
		if p.code != exitUsage || !strings.Contains(p.errOut.String(), says) {
			t.Errorf("%s: exit code %d, %s", args, p.code, p.errOut.String())
		}
	}
	odd := writeTemp(t, "odd.csv", "a,b\n1,2\n")
	p := command(t, nil, "import", odd, "--source", "a", "--url", "http://127.0.0.1:1", "--key", "x", "--organization",
		"o")
	hold(t, "the error", p.errOut.String(), "it is a table of 2 columns whose header no format has: say by --map")
}

func TestImportLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		width         int
		read, size    int64
		lines, failed int64
		took          time.Duration
		want          string
	}{
		{0, 50, 100, 1000, 0, 10 * time.Second, "50 %, 1000 lines, 100 lines/s, 10s left"},
		{80, 25, 100, 1, 3, 10 * time.Second, "[=====               ] 25 %, 1 line, 0 lines/s, 30s left, 3 refused"},
		{0, 0, 0, 1000, 0, time.Second, "1000 lines, 1000 lines/s"},
		{0, 200, 100, 1000, 0, time.Second, "100 %, 1000 lines, 1000 lines/s"},
	} {
		if got := importLine(tc.width, tc.read, tc.size, tc.lines, tc.failed, tc.took); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestReasonsAreBounded: however many there are, a few are told, and all are counted.
func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	var r reasons
	for i := range 1000 {
		r.note("often", "line 1")
		r.note(strings.Repeat("x", i%200), "line 2")
	}
	var b bytes.Buffer
	r.print(&b, "Refused")
	hold(t, "what is told", b.String(), "Refused:\n  1000 × often\n      line 1, line 1,", " and 990 more\n",
		"  755 × for other reasons\n")
	if r.total != 2000 || len(r.of) > keptReasons {
		t.Errorf("%d in all, %d kept", r.total, len(r.of))
	}
}

// TestPersist repeats what may pass, for a time, and nothing else.
func TestPersist(t *testing.T) {
	t.Parallel()
	broken := &url.Error{Op: "Post", URL: "http://127.0.0.1:1", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		fails error
		times int
		tries int
		took  time.Duration // at least
	}{
		{broken, 3, 4, 3 * time.Second}, {&client.Error{Status: http.StatusServiceUnavailable}, 1, 2, 0},
		{&client.Error{Status: http.StatusTooManyRequests, RetryAfter: time.Minute}, 2, 3, 2 * time.Minute},
		{&client.Error{Status: http.StatusConflict}, 9, 1, 0}, {os.ErrPermission, 9, 1, 0},
		{&client.Error{Status: http.StatusUnauthorized}, 9, 1, 0},
		{broken, 1000, 0, 5 * time.Minute}, {&client.Error{Status: 503, RetryAfter: time.Hour}, 9, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			tries, began := 0, time.Now()
			err := persist(context.Background(), &out, func() error {
				if tries++; tries <= tc.times {
					return tc.fails
				}
				return nil
			})
			took := time.Since(began)
			if (err == nil) != (tries > tc.times) || tc.tries > 0 && tries != tc.tries || took < tc.took || took > persistFor {
				t.Errorf("%v: %d tries in %s, %v", tc.fails, tries, took, err)
			}
			if told := strings.Count(out.String(), "NOTE"); told > 1 || tries > 1 && told == 0 {
				t.Errorf("%v: it says %q", tc.fails, out.String())
			}
		})
	}
}
