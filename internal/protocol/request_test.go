package protocol

import (
	"net/http"
	"strings"
	"testing"
)

func TestBearer(t *testing.T) {
	for _, tc := range []struct {
		headers []string
		want    string
	}{
		{nil, ""},
		{[]string{"Bearer secret"}, "secret"},
		{[]string{"bearer  secret "}, "secret"},
		{[]string{"Bearer"}, ""},
		{[]string{"Basic c2VjcmV0"}, ""},
		{[]string{"Bearer secret", "Bearer other"}, ""},
	} {
		r := &http.Request{Header: http.Header{"Authorization": tc.headers}}
		if got := Bearer(r); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.headers, got, tc.want)
		}
	}
}

func TestSite(t *testing.T) {
	for _, tc := range []struct{ origin, referer, want string }{
		{"https://WWW.Example.com:8443", "https://other.example/", "www.example.com"},
		{"null", "https://shop.example.com/a?email=a@b.c", "shop.example.com"},
		{"", "http://[2001:db8::1]/", "2001:db8::1"},
		{"", "http://[fe80::1%25eth0]/", ""},
		{"", "http://10.0.0.1:80/", "10.0.0.1"},
		{"http://" + strings.Repeat("a.", 130) + "com", "", ""},
		{"http://exa_mple.com", "", ""},
		{"https://a b", "", ""},
		{"https://%ff/", "", ""},
		{"", "about:blank", ""},
		{"::", "", ""},
		{"", "", ""},
	} {
		h := http.Header{"Origin": {tc.origin}, "Referer": {tc.referer}}
		if got := siteOf(h); got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}
