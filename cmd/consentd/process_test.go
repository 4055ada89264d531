package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/logtest"
)

// binary is consentd, built once for all tests, which run it as real processes.
var binary string

const rootKey = "root-key-of-the-process-tests-0123456789"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "consentd-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "consentd")
		args := []string{"build", "-buildvcs=false", "-o", binary}
		if raceDetector {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build consentd: %v\n%s", err, out)
			return 1
		}
		status := m.Run()
		if err := goleak.Find(); err != nil && status == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}())
}

// environment is the tests' own without any setting of consentd but those given. Where these name a database, they name
// the key file that all tests share, unless they say which.
func environment(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CONSENTD_") {
			env = append(env, e)
		}
	}
	names := func(prefix string) bool {
		return slices.ContainsFunc(more, func(s string) bool { return strings.HasPrefix(s, prefix) })
	}
	if names("CONSENTD_DATABASE_URL") && !names("CONSENTD_KEK_FILE") {
		more = append([]string{"CONSENTD_KEK_FILE=" + filepath.Join(filepath.Dir(binary), "kek")}, more...)
	}
	return append(env, more...)
}

// process is a consentd that runs or ran.
type process struct {
	cmd         *exec.Cmd
	out, errOut logtest.Buffer
	url         string
	ended       chan struct{} // closed when it is gone; code is set then
	code        int
}

// launch starts a consentd that ends with the test at the latest.
func launch(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environment(env...), &p.out, &p.errOut
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code tells
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		<-p.ended
	})
	return p
}

// command runs a consentd to its end.
func command(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := launch(t, env, args...)
	p.wait(t, time.Minute)
	return p
}

var listening = regexp.MustCompile(`msg=listening .*url=(\S+)`)

// serveOn starts a server on a data folder and waits until it listens.
func serveOn(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	return serveWith(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, args...)...)
}

func serveWith(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := launch(t, env, args...)
	for range 3000 {
		if m := listening.FindStringSubmatch(p.errOut.String()); m != nil {
			p.url = m[1]
			return p
		}
		select {
		case <-p.ended:
			t.Fatalf("the server ended with %d before it listened:\n%s", p.code, p.errOut.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatalf("the server does not listen:\n%s", p.errOut.String())
	return nil
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// wait gives the exit code.
func (p *process) wait(t testing.TB, most time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(most):
		t.Fatalf("consentd %v did not end within %s; it said:\n%s", p.cmd.Args[1:], most, p.errOut.String())
	}
	return p.code
}

// stop ends a server in order.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, 30*time.Second); code != 0 {
		t.Fatalf("exit code %d after SIGTERM:\n%s", code, p.errOut.String())
	}
}

// logFailed logs what helps to understand a failure, once the test has ended with one.
func logFailed(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf(format, args...)
		}
	})
}

func hold(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

// call makes one request and gives status and body.
func call(t testing.TB, method, url string, header map[string]string, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// tenant is an organization on a server that was started with rootKey.
type tenant struct{ organization, project string }

// firstEntries is how many entries a ledger begins with: those of the purposes that a project starts with.
var firstEntries = len(consent.BuiltInPurposes())

// newTenant makes an organization over HTTP.
func newTenant(t testing.TB, p *process) tenant {
	t.Helper()
	status, answer := call(t, "POST", p.url+"/privacy-v1/organizations", map[string]string{"x-api-key": rootKey},
		`{"name":"Kill Test","primaryDomain":"localhost","privacyPolicyUrl":"https://shop.example/privacy"}`)
	if status != 201 {
		t.Fatalf("make an organization: %d %s", status, answer)
	}
	var made struct {
		ID      string `json:"id"`
		Project string `json:"defaultProjectId"`
	}
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	return tenant{made.ID, made.Project}
}

func (o tenant) eventsPath() string {
	return "/privacy-v1/organizations/" + o.organization + "/projects/" + o.project + "/consent-events"
}

// items makes the body of a write of one event for each user.
func items(users ...string) string {
	list := make([]string, len(users))
	for i, user := range users {
		list[i] = `{"userId":"` + user + `","category":"privacy_setting","subcategory":"functional",` +
			`"consentState":"accepted","consentAction":"user_click"}`
	}
	return `{"items":[` + strings.Join(list, ",") + `]}`
}

// event is what the tests look at of an event in an answer.
type event struct {
	ID          string `json:"id"`
	Person      string `json:"concordId"`
	Subcategory string `json:"subcategory"`
}

type eventList struct {
	Count int     `json:"count"`
	Total int     `json:"total"`
	Items []event `json:"items"`
}

// allEvents lists a tenant's whole history, page by page.
func allEvents(t testing.TB, p *process, o tenant) []event {
	t.Helper()
	var all []event
	for {
		url := fmt.Sprintf("%s/privacy-v1/organizations/%s/consent-events?order=asc&limit=1000&offset=%d", p.url,
			o.organization, len(all))
		status, answer := call(t, "GET", url, map[string]string{"x-api-key": rootKey}, "")
		var page eventList
		if err := json.Unmarshal(answer, &page); status != 200 || err != nil {
			t.Fatalf("list events: %d %v %s", status, err, answer)
		}
		all = append(all, page.Items...)
		if len(page.Items) == 0 {
			if page.Total != len(all) {
				t.Errorf("the list says %d events in all and has %d", page.Total, len(all))
			}
			return all
		}
	}
}
