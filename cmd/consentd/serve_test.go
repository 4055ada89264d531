package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
)

var keyPattern = regexp.MustCompile(`cd_live_[0-9A-Za-z]{82}`)

// curls gives the commands in a text, by a word of their URL.
func curls(text string) map[string]string {
	found := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "curl ") {
			continue
		}
		from := i
		for strings.HasSuffix(lines[i], `\`) {
			i++
		}
		command := strings.Join(lines[from:i+1], "\n")
		for _, word := range []string{"privacy-v1", "consent-hub", "persons", "v1/subjects", "api/v1"} {
			if strings.Contains(lines[from], "/"+word+"/") || strings.Contains(lines[from], "/"+word+" ") {
				found[word] = command
			}
		}
	}
	return found
}

// TestFirstStart pastes what the first start prints into a shell, in one order and in the other.
func TestFirstStart(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("this test pastes commands into sh and needs curl: %v", err)
	}
	for _, backwards := range []bool{false, true} {
		t.Run(fmt.Sprintf("backwards=%v", backwards), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir() + "/a folder"
			p := serveOn(t, dir, nil)
			printed := p.out.String()
			hold(t, "the first start", printed, p.url, "'"+dir+"'", "shown once", "rotate-root", "consentd doctor")
			commands := curls(printed)
			order := []string{"privacy-v1", "consent-hub", "persons", "v1/subjects", "api/v1"}
			if backwards {
				slices.Reverse(order)
			}
			for range 3 {
				for _, name := range order {
					pasteCurl(t, name, commands[name])
				}
			}
			out, err := exec.Command("sh", "-c", commands["consent-hub"]).Output()
			if err != nil {
				t.Fatal(err)
			}
			hold(t, "the choice after all calls", string(out), `"usersChoiceOnMarketingCommunicationOptIn":true`)
			laterStarts(t, p, dir, printed)
		})
	}
}

// pasteCurl runs a command as it was printed.
func pasteCurl(t *testing.T, name, command string) {
	t.Helper()
	want := map[string]string{"privacy-v1": `"count":1`, "consent-hub": `"locale":"NL"`, "persons": `"person_id":"`,
		"v1/subjects": `"version":`, "api/v1": `"name":"first key"`}[name]
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s: pasted\n%s\n%v, answer %s", name, command, err, out)
	}
}

// laterStarts checks what was printed against the server, and that nothing is printed again.
func laterStarts(t *testing.T, p *process, dir, printed string) {
	t.Helper()
	keys := keyPattern.FindAllString(printed, -1)
	if len(keys) < 2 {
		t.Fatalf("no two keys in:\n%s", printed)
	}
	p.stop(t)
	again := serveOn(t, dir, nil)
	if out := again.out.String(); out != "" {
		t.Errorf("the second start printed:\n%s", out)
	}
	status, answer := call(t, "GET", again.url+"/privacy-v1/organizations", map[string]string{"x-api-key": keys[0]}, "")
	hold(t, "the organizations by the root key", string(answer), "My organization")
	if status != 200 {
		t.Errorf("the root key gets %d", status)
	}
	again.stop(t)
	for _, key := range keys {
		if strings.Contains(p.errOut.String()+again.errOut.String(), key) {
			t.Error("a key is in the log")
		}
	}
}

func TestRootKeyFromEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})
	status, answer := call(t, "GET", p.url+"/privacy-v1/organizations", map[string]string{"x-api-key": rootKey}, "")
	if status != 200 || strings.Contains(string(answer), "My organization") {
		t.Errorf("organizations: %d %s", status, answer)
	}
	status, _ = call(t, "POST", p.url+"/privacy-v1/organizations",
		map[string]string{"x-api-key": rootKey, "Content-Type": "application/json"},
		`{"name":"Shop","primaryDomain":"shop.example","privacyPolicyUrl":"https://shop.example/privacy"}`)
	if status != 201 {
		t.Errorf("make an organization: %d", status)
	}
	p.stop(t)
	if p.out.String() != "" || strings.Contains(p.errOut.String(), rootKey) {
		t.Errorf("printed %q, log:\n%s", p.out.String(), p.errOut.String())
	}
	// Without it the store has no root key, and none is made and shown behind people's backs.
	p = serveOn(t, dir, nil)
	if p.out.String() != "" {
		t.Errorf("without the root key it printed:\n%s", p.out.String())
	}
	hold(t, "the log", p.errOut.String(), "level=WARN", "CONSENTD_ROOT_KEY", "consentd key rotate-root --data "+dir)
	made := keyPattern.FindString(command(t, nil, "key", "rotate-root", "--data", dir).out.String())
	if status, _ := call(t, "GET", p.url+"/privacy-v1/organizations", map[string]string{"x-api-key": made},
		""); status != 200 {
		t.Errorf("the root key that was made then gets %d", status)
	}
	p.stop(t)
	p = serveOn(t, dir, nil)
	if p.out.String() != "" || strings.Contains(p.errOut.String(), "rotate-root") {
		t.Errorf("with a root key of its own it says\n%s%s", p.out.String(), p.errOut.String())
	}
}

// TestCrashInTheFirstStart starts on what a crash between root key and organization leaves.
func TestCrashInTheFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	svc := service.New(service.Options{Store: s, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler)})
	if _, err := svc.CreateRootKey(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	svc.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := serveOn(t, dir, nil)
	if p.out.String() != "" {
		t.Errorf("printed:\n%s", p.out.String())
	}
	hold(t, "the log", p.errOut.String(), "level=WARN", "consentd key rotate-root --data "+dir)
	rotated := command(t, nil, "key", "rotate-root", "--data", dir)
	key := keyPattern.FindString(rotated.out.String())
	if status, _ := call(t, "GET", p.url+"/privacy-v1/organizations", map[string]string{"x-api-key": key},
		""); status != 200 {
		t.Errorf("the new root key gets %d", status)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := serveOn(t, dir, nil)
	second := command(t, nil, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if second.code != exitLocked || second.out.String() != "" {
		t.Errorf("exit code %d, printed %q", second.code, second.out.String())
	}
	hold(t, "the second server", second.errOut.String(), dir, "another server is running",
		fmt.Sprintf("process %d", first.cmd.Process.Pid), "--data")
	twice := command(t, nil, "serve", "--listen", strings.TrimPrefix(first.url, "http://"), "--data", dir)
	if twice.code != exitLocked || twice.out.String() != "" {
		t.Errorf("the same command twice: exit code %d, printed %q", twice.code, twice.out.String())
	}
	hold(t, "the same command twice", twice.errOut.String(), dir, "another server is running", "--data", "--listen")
	taken := command(t, nil, "serve", "--listen", strings.TrimPrefix(first.url, "http://"), "--data", t.TempDir())
	if taken.code != exitFailed || taken.out.String() != "" {
		t.Errorf("on a taken address: exit code %d, printed %q", taken.code, taken.out.String())
	}
	hold(t, "a server on a taken address", taken.errOut.String(), "address already in use", "--listen")
	if status, _ := call(t, "GET", first.url+"/readyz", nil, ""); status != 200 {
		t.Errorf("the first server's /readyz: %d", status)
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/c.yaml"
	if err := os.WriteFile(file, []byte("log-format: json\nshutdown-timeout: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := command(t, []string{"CONSENTD_ROOT_KEY=" + rootKey, "CONSENTD_LOG_LEVEL=debug"}, "config", "--config", file,
		"--shutdown-timeout", "4s")
	out := p.out.String()
	if p.code != 0 || strings.Contains(out+p.errOut.String(), rootKey) {
		t.Errorf("exit code %d:\n%s", p.code, out)
	}
	for _, line := range []string{`root-key +\*+ +environment CONSENTD_ROOT_KEY`,
		`log-level +debug +environment CONSENTD_LOG_LEVEL`,
		`log-format +json +.*c\.yaml line 1`, `shutdown-timeout +4s +flag --shutdown-timeout`,
		`listen +127\.0\.0\.1:8080 +default`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("no line %s in:\n%s", line, out)
		}
	}
	wrong := command(t, []string{"CONSENTD_ROOT_KEY=short-secret"}, "config", "--listen", "x")
	if wrong.code != exitUsage || strings.Contains(wrong.errOut.String(), "short-secret") {
		t.Errorf("exit code %d:\n%s", wrong.code, wrong.errOut.String())
	}
	hold(t, "a wrong configuration", wrong.errOut.String(), "listen (flag --listen)",
		"root-key (environment CONSENTD_ROOT_KEY)", "allowed:")
}

func TestHelpAndUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"serve"}, {"key"}, {"key", "create"}, {"key", "list"}, {"key", "revoke"},
		{"key", "rotate-root"}, {"config"}, {"doctor"}, {"version"}} {
		p := command(t, nil, append(args, "--help")...)
		if p.code != 0 {
			t.Errorf("%v --help: exit code %d", args, p.code)
		}
		hold(t, "--help", p.out.String(), "Usage: consentd")
		if len(args) == 1 && args[0] != "version" || len(args) == 0 {
			hold(t, fmt.Sprint(args, " --help"), p.out.String(), "Examples:", "Exit codes:", "CONSENTD_")
		}
	}
	for _, args := range [][]string{{}, {"serv"}, {"serve", "--lisen", "x"}, {"key", "create"}, {"key", "revoke", "x"}} {
		if p := command(t, nil, args...); p.code != exitUsage || p.errOut.String() == "" {
			t.Errorf("%v: exit code %d, %q", args, p.code, p.errOut.String())
		}
	}
	v := command(t, nil, "version").out.String()
	hold(t, "version", v, "consentd 0.1.0-dev\n", "go       go1.", "sqlite   3.")
}

// TestAccessLog reads the log of a few requests as JSON.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	p := launch(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(),
		"--log-format", "json")
	url := regexp.MustCompile(`"url":"([^"]+)"`)
	for range 2000 {
		if m := url.FindStringSubmatch(p.errOut.String()); m != nil {
			p.url = m[1]
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	o := newTenant(t, p)
	call(t, "POST", p.url+o.eventsPath(), map[string]string{"x-api-key": rootKey}, items("somebody-private"))
	p.stop(t)
	log := p.errOut.String()
	if strings.Contains(log, "somebody-private") || strings.Contains(log, rootKey) {
		t.Errorf("the log tells too much:\n%s", log)
	}
	requests := 0
	for line := range strings.Lines(log) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if entry["msg"] == "request" {
			requests++
		}
	}
	if requests != 2 {
		t.Errorf("%d access lines for 2 requests:\n%s", requests, log)
	}
}

// TestRequestInFlight stops a server in the middle of a request's body; the request gets its whole
// answer, and who asks meanwhile learns that the server ends.
func TestRequestInFlight(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey}, "--shutdown-delay", "1s")
	o := newTenant(t, p)
	body := items("late")
	slow := dial(t, p.url)
	fmt.Fprintf(slow, "POST %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: "+
		"%d\r\n\r\n%s",
		o.eventsPath(), rootKey, len(body), body[:20])
	other := dial(t, p.url)
	answers := bufio.NewReader(other)
	ask(t, other, answers, "/readyz", 200)
	p.signal(t, syscall.SIGTERM)
	waitForEnd(t, p)
	if res := ask(t, other, answers, "/readyz", 503); !res.Close {
		t.Error("an answer while the server ends does not say Connection: close")
	}
	time.Sleep(1500 * time.Millisecond) // longer than the shutdown delay
	fmt.Fprint(slow, body[20:])
	res, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 201 || !json.Valid(answer) {
		t.Errorf("%d %v %s", res.StatusCode, err, answer)
	}
	if code := p.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.errOut.String())
	}
	hold(t, "the log", p.errOut.String(), "stopped: every request was answered")
}

// ask sends one request on a connection that stays open.
func ask(t *testing.T, c net.Conn, answers *bufio.Reader, path string, want int) *http.Response {
	t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != want {
		t.Errorf("%s: %d %v, want %d", path, res.StatusCode, err, want)
	}
	return res
}

func dial(t testing.TB, url string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestEndWithoutTheRequest ends servers whose request in flight never comes to its end.
func TestEndWithoutTheRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		second bool
		said   string
	}{
		"second signal":    {nil, true, "second signal"},
		"shutdown timeout": {[]string{"--shutdown-timeout", "1s"}, false, "--shutdown-timeout 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey}, tc.args...)
			c := dial(t, p.url)
			fmt.Fprintf(c, "POST /privacy-v1/organizations HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 100\r\n\r\n{",
				rootKey)
			time.Sleep(100 * time.Millisecond)
			p.signal(t, syscall.SIGTERM)
			waitForEnd(t, p)
			if tc.second {
				p.signal(t, syscall.SIGTERM) // the same again, at once: it does not count
				time.Sleep(sameSignal + 100*time.Millisecond)
				p.signal(t, syscall.SIGINT)
			}
			if code := p.wait(t, 5*time.Second); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			hold(t, "the server", p.errOut.String(), tc.said)
		})
	}
}

// TestConnectionLimits sends a head that never ends and one that is too long.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), []string{"CONSENTD_ROOT_KEY=" + rootKey})
	began := time.Now()
	slow := dial(t, p.url)
	fmt.Fprint(slow, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	long := dial(t, p.url)
	fmt.Fprintf(long, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", bytes.Repeat([]byte("x"), 80<<10))
	if res, err := http.ReadResponse(bufio.NewReader(long), nil); err != nil || res.StatusCode != 431 {
		t.Errorf("a head of 80 KiB: %v %v", res, err)
	}
	answer, _ := io.ReadAll(slow)
	if took := time.Since(began); took < readHeaderTimeout-time.Second || took > readHeaderTimeout+5*time.Second {
		t.Errorf("a head that never ends was cut after %s with %q", took, answer)
	}
}
