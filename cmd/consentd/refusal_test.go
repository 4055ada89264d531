package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusals are requests that net/http reads none of, and how the answer begins, with what stands in its body.
var refusals = []struct{ name, request, status, body string }{
	{"ConsentGrid, percent-encoding", "GET /v1/subjects/user/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request","message":"this is no valid`},
	{"native, percent-encoding", "DELETE /api/v1/x% HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`"title":"Bad Request","status":400,"detail":"this is no valid`},
	{"SlashID, percent-encoding", "GET /persons/%a/consent/gdpr HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"errors":[{"httpcode":400,"message":"this is no valid`},
	{"Concord, percent-encoding", "GET /privacy-v1/organizations/%gg HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"statusCode":400,"error":"Bad Request","message":"this is no valid`},
	{"Consent Hub, percent-encoding", "POST /consent-hub/%% HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"code":400,"message":"this is no valid`},
	{"a space in the path", "GET /v1/subjects/user/a b HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request"`},
	{"no version", "GET /v1/subjects\r\nHost: x\r\n\r\n", "400 Bad Request", `{"error":"bad_request"`},
	{"a version that is none", "GET /v1 HTTP/x\r\nHost: x\r\n\r\n", "400 Bad Request", `{"error":"bad_request"`},
	{"a later version", "GET /v1/subjects HTTP/3.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported",
		`{"error":"version_not_supported","message":"unsupported protocol version"}`},
	{"a method that is none", "G@T /v1/subjects HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request"`},
	{"no Host", "GET /v1/subjects HTTP/1.1\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request","message":"missing required Host header"}`},
	{"a header without a colon", "GET /v1/subjects?x=1 HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request"`},
	{"a header's name", "GET /v1/subjects HTTP/1.1\r\nHost: x\r\na\x01b: c\r\n\r\n", "400 Bad Request",
		`{"error":"bad_request"`},
	{"a transfer coding", "POST /v1/subjects/user HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"501 Not Implemented", `{"error":"not_implemented"`},
	{"long headers", "GET /v1/subjects HTTP/1.1\r\nHost: x\r\na: " + strings.Repeat("b", 80<<10),
		"431 Request Header Fields Too Large", `{"error":"headers_too_large"`},
	{"a blank line before", "\r\nGET /v1/subjects HTTP/1.1\r\n", "400 Bad Request", `400 Bad Request`},
	{"nobody's path", "GET /nobody/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request", `400 Bad Request`},
	{"an operator's path", "GET /metrics/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request", `400 Bad Request`},
	{"a long method", strings.Repeat("M", 100) + " /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
		`400 Bad Request`},
	{"no HTTP", "\x16\x03\x01\x02\r\n\r\n", "400 Bad Request", `400 Bad Request`},
}

// TestRefusals proves that a request that net/http cannot read is answered in the shape of the protocol whose path it
// asks for: sent whole, byte by byte, and as the second one of a connection.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=info"})
	var ids []string
	const good = "GET /v1/subjects HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tc := range refusals {
		for _, how := range []string{"whole", "byte by byte", "second"} {
			c := dial(t, p.url)
			answers := bufio.NewReader(c)
			if how == "second" {
				fmt.Fprint(c, good)
				if res := receiveAll(t, answers); res.StatusCode != 401 {
					t.Fatalf("%s: the request before: %d", tc.name, res.StatusCode)
				}
			}
			deliver(c, tc.request, how == "byte by byte" && len(tc.request) < 1000)
			if id := refused(t, tc.name+", "+how, answers, tc.status, tc.body); !strings.HasPrefix(tc.body, "400") {
				ids = append(ids, id)
			}
		}
	}
	p.stop(t)
	for _, id := range ids {
		hold(t, "the log", p.errOut.String(), "id="+id+" ")
	}
}

// deliver sends a request. Its end may be refused, as a server that has answered closes the connection.
func deliver(c net.Conn, request string, slowly bool) {
	if !slowly {
		_, _ = io.WriteString(c, request)
		return
	}
	for i := range len(request) {
		_, _ = io.WriteString(c, request[i:i+1])
		time.Sleep(100 * time.Microsecond)
	}
}

func receiveAll(t *testing.T, answers *bufio.Reader) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return res
}

// refused looks at the answer to a request that could not be read, and that nothing comes behind it. It gives the
// request's id.
func refused(t *testing.T, name string, answers *bufio.Reader, status, part string) (id string) {
	t.Helper()
	res := receiveAll(t, answers)
	text, _ := io.ReadAll(res.Body)
	if res.Status != status || !strings.Contains(string(text), part) || !res.Close {
		t.Errorf("%s: %s %v\n%s", name, res.Status, res.Header, text)
	}
	if _, err := answers.ReadByte(); err == nil {
		t.Errorf("%s: something comes behind the answer", name)
	}
	plain := strings.HasPrefix(part, "400")
	if plain == (res.Header.Get("Cache-Control") == "no-store") ||
		plain == strings.Contains(res.Header.Get("Content-Type"), "json") {
		t.Errorf("%s: %v", name, res.Header)
	}
	return res.Header.Get("X-Request-Id")
}

// TestRefusalInPipeline proves that a request whose beginning was read with the one before it is answered as net/http
// does.
func TestRefusalInPipeline(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey})
	for _, second := range []string{"GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /nobody/%zz HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c := dial(t, p.url)
		answers := bufio.NewReader(c)
		fmt.Fprint(c, "GET /persons/x HTTP/1.1\r\nHost: x\r\n\r\n"+second)
		if res := receiveAll(t, answers); res.StatusCode != 401 {
			t.Errorf("the first: %d", res.StatusCode)
		}
		refused(t, "the second", answers, "400 Bad Request", "400 Bad Request")
	}
	p.stop(t)
}

// TestRefusalOf proves which answers are taken for net/http's own.
func TestRefusalOf(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 400 Bad Request"
	for _, tc := range []struct{ answer, want string }{
		{head + "\r\n" + refusalHeaders + "400 Bad Request", "400  true"},
		{head + ": missing Host\r\n" + refusalHeaders + "400 Bad Request: missing Host", "400 missing Host true"},
		{"HTTP/1.1 501 Not Implemented\r\n" + refusalHeaders + "Unsupported transfer encoding", "501  true"},
		{"HTTP/1.1 200 OK\r\n" + refusalHeaders, "200  false"},
		{head + "\r\nCache-Control: no-store\r\n" + refusalHeaders, "0  false"},
		{head + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n400", "0  false"},
		{"HTTP/1.1 400\r\n" + refusalHeaders, "0  false"},
		{"HTTP/1.1 4", "0  false"},
		{"400 Bad Request\r\n" + refusalHeaders, "0  false"},
		{"", "0  false"},
	} {
		status, msg, ok := refusalOf([]byte(tc.answer))
		if got := fmt.Sprint(status, " ", msg, " ", ok); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.answer, got, tc.want)
		}
	}
}
