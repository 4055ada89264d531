package server_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/consentd/consentd/internal/server"
)

// browser is a Chromium and what went wrong in it.
type browser struct {
	context.Context
	mu       sync.Mutex
	mistakes []string
}

func (b *browser) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mistakes = append(b.mistakes, fmt.Sprintf(format, args...))
}

// noted gives what went wrong by now; what the page did last has been told by then.
func (b *browser) noted() []string {
	time.Sleep(200 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mistakes)
}

func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		t.Fatalf("%v; noted: %q", err, b.noted())
	}
}

// newBrowser starts a Chromium that notes what its console says, what a page's policy refuses, and every request to
// another server than host.
func newBrowser(t *testing.T, host string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: run scripts/need.sh chromium", err)
	}
	b := &browser{}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program),
		chromedp.NoSandbox) // tests may run as root, and what is shown is ours
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator, chromedp.WithListener(func(event any) { b.listen(event, host) }))
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b.Context = ctx
	return b
}

// listen notes what must not happen.
func (b *browser) listen(event any, host string) {
	switch event := event.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, arg := range event.Args {
			b.note("console %s: %s", event.Type, arg.Value)
		}
	case *runtime.EventExceptionThrown:
		b.note("exception: %s", event.ExceptionDetails.Text)
	case *log.EventEntryAdded: // what a policy refuses among others
		b.note("log %s: %s %s", event.Entry.Level, event.Entry.Text, event.Entry.URL)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(event.Request.URL); err != nil || u.Scheme != "data" && u.Host != host {
			b.note("request to %s", event.Request.URL)
		}
	}
}

// TestDocumentIsShown opens /docs and a call there in Chromium: all calls are there, nothing is refused by the page's
// policy, and nothing comes from elsewhere.
func TestDocumentIsShown(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(server.New(silent))
	defer srv.Close()
	b := newBrowser(t, strings.TrimPrefix(srv.URL, "http://"))
	const texts = `Array.from(document.querySelectorAll(".opblock-summary")).map(e =>
		e.querySelector(".opblock-summary-method").textContent + " " +
		e.querySelector(".opblock-summary-path").dataset.path)`
	b.do(t, chromedp.Navigate(srv.URL+"/docs"), chromedp.WaitVisible(chromedp.CSS(".opblock")))
	shown, err := chromedp.Run(b, chromedp.Evaluate[[]string](texts))
	if err != nil {
		t.Fatal(err)
	}
	if want := documentedCalls(t); !slices.Equal(slices.Sorted(slices.Values(shown)), want) {
		t.Errorf("the page shows %q, want %q", shown, want)
	}
	b.do(t, chromedp.Click(chromedp.CSS("#operations-concord-concordCreateConsentEvents .opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS("#operations-concord-concordCreateConsentEvents .body-param__example")),
		chromedp.WaitVisible(chromedp.CSS("#operations-concord-concordCreateConsentEvents .responses-table")))
	if noted := b.noted(); len(noted) > 0 {
		t.Errorf("%q", noted)
	}
	b.do(t, chromedp.Navigate(srv.URL+"/docs/errors/conflict"), chromedp.WaitVisible(chromedp.CSS("main h1")))
	if noted := b.noted(); len(noted) > 0 {
		t.Errorf("%q", noted)
	}
}

// TestPolicyBites proves that TestDocumentIsShown would hear of a page that does what it must not.
func TestPolicyBites(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(server.New(silent))
	defer srv.Close()
	b := newBrowser(t, strings.TrimPrefix(srv.URL, "http://"))
	b.do(t, chromedp.Navigate(srv.URL+"/docs"), chromedp.WaitVisible(chromedp.CSS(".opblock")))
	for script, want := range map[string]string{
		`document.body.setAttribute("style", "margin: 1px"); ""`:  "style-src 'self'",
		`fetch("https://elsewhere.example/").catch(() => ""); ""`: "connect-src 'self'",
		`console.warn("hm"); ""`:                                  "console warning",
	} {
		if _, err := chromedp.Run(b, chromedp.Evaluate[string](script)); err != nil {
			t.Fatal(err)
		}
		if heard := strings.Join(b.noted(), "\n"); !strings.Contains(heard, want) {
			t.Errorf("%s: %q was not heard of: %s", script, want, heard)
		}
	}
}
