package protocol

import (
	"net/http"
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

func TestBasicOrBearer(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"basic", []string{"Basic bWVAZXhhbXBsZS5jb206c2VjcmV0"}, "secret"},
		{"basic, no user name", []string{"Basic OnNlY3JldA=="}, "secret"},
		{"basic, a colon in the password", []string{"basic bWU6c2U6Y3JldA=="}, "se:cret"},
		{"basic, no colon", []string{"Basic c2VjcmV0"}, ""},
		{"basic, no base64", []string{"Basic !"}, ""},
		{"bearer", []string{"Bearer secret"}, "secret"},
		{"bearer, other case", []string{"bEARER  secret"}, "secret"},
		{"bearer, empty", []string{"Bearer"}, ""},
		{"another scheme", []string{"Digest secret"}, ""},
		{"twice", []string{"Bearer secret", "Bearer secret"}, ""},
	} {
		r := &http.Request{Header: http.Header{"Authorization": tc.headers}}
		if got := BasicOrBearer(r); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
