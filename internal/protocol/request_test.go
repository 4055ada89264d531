package protocol

import (
	"net/http"
	"strings"
	"testing"
)

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
