package protocol

import (
	"net/http"
	"testing"
)

func TestAccepted(t *testing.T) {
	const json, lines, csv = "application/json", "application/x-ndjson", "text/csv"
	for _, tc := range []struct {
		accept []string
		want   string
	}{
		{nil, json}, {[]string{"*/*"}, json}, {[]string{"application/*"}, json}, {[]string{"text/*"}, csv},
		{[]string{csv}, csv}, {[]string{"TEXT/CSV; charset=utf-8"}, csv},
		{[]string{"text/csv;q=0.5, application/x-ndjson"}, lines},
		{[]string{"text/csv;q=0.5", "application/x-ndjson;q=0.6"}, lines}, {[]string{"*/*;q=0.1, text/csv"}, csv},
		{[]string{"application/x-ndjson, */*"}, json}, // all of the same quality: what a page in a browser sends
		{[]string{"application/json;q=0, */*;q=0.3, text/csv;q=0.2"}, lines},
		{[]string{"application/xml"}, ""}, {[]string{"text/csv;q=0"}, ""}, {[]string{"text/csv;q=2"}, ""},
		{[]string{"text/csv;q=x"}, ""}, {[]string{";;;"}, ""}, {[]string{""}, ""}, {[]string{"text/csv;q=NaN"}, ""},
		{[]string{"text/html,application/xhtml+xml,*/*;q=0.8"}, json},
	} {
		r := &http.Request{Header: http.Header{"Accept": tc.accept}}
		if got := Accepted(r, json, lines, csv); got != tc.want {
			t.Errorf("%q: %q, not %q", tc.accept, got, tc.want)
		}
	}
}
