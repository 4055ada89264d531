package consentgrid_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/consentd/consentd/internal/webtest"
)

func TestTranscripts(t *testing.T) {
	webtest.Run(t, "testdata/*.txt")
}

// TestUpdatesAtOnce proves consentgrid.md, Versions: two updates at once both
// count, no update is lost, and versions have no gaps.
func TestUpdatesAtOnce(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		testUpdatesAtOnce(t, webtest.NewSite(t, e.OpenAll(t)...))
	})
}

func testUpdatesAtOnce(t *testing.T, site *webtest.Site) {
	const updates = 24
	call := caller(t, site)
	var all sync.WaitGroup
	errs := make(chan error, updates)
	for i := range updates {
		all.Go(func() { // POST: the first one of all makes the subject
			status, answer, err := call("POST", "/v1/subjects/user/busy", "", fmt.Sprintf(`{"data":{"m%d":%d}}`, i, i))
			if err != nil || status != 200 && status != 201 {
				errs <- fmt.Errorf("update %d: %d %s %v", i, status, answer, err)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	for version := 1; version <= updates; version++ {
		status, answer, err := call("GET", fmt.Sprintf("/v1/subjects/user/busy?version=%d", version), "", "")
		var got struct {
			Version int            `json:"version"`
			Data    map[string]int `json:"data"`
		}
		if err == nil {
			err = json.Unmarshal(answer, &got)
		}
		if err != nil || status != 200 || got.Version != version || len(got.Data) != version {
			t.Errorf("version %d: %d %s %v", version, status, answer, err)
		}
	}
	if status, answer, err := call("GET", fmt.Sprintf("/v1/subjects/user/busy?version=%d", updates+1), "",
		""); status != 404 {
		t.Errorf("one version too many: %d %s %v", status, answer, err)
	}
}

// caller gives a client of a site, which may be used at once; an empty condition is no If-Match.
func caller(t *testing.T, site *webtest.Site) func(method, path, condition, body string) (int, []byte, error) {
	t.Helper()
	server := httptest.NewServer(site.Handler)
	t.Cleanup(server.Close)
	return func(method, path, condition, body string) (int, []byte, error) {
		r, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		r.Header.Set("Authorization", "Bearer "+site.Vars["key"])
		r.Header.Set("Content-Type", "application/json")
		if condition != "" {
			r.Header.Set("If-Match", condition)
		}
		res, err := server.Client().Do(r)
		if err != nil {
			return 0, nil, err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		return res.StatusCode, answer, err
	}
}

// TestIfMatchAtOnce proves that of many updates at once of the same version exactly one is done, and all others are
// 412.
func TestIfMatchAtOnce(t *testing.T) {
	webtest.OnEngines(t, func(t *testing.T, e webtest.Engine) {
		testIfMatchAtOnce(t, webtest.NewSite(t,
			e.OpenAll(t)...))
	})
}

func testIfMatchAtOnce(t *testing.T, site *webtest.Site) {
	call := caller(t, site)
	if status, answer, err := call("POST", "/v1/subjects/user/race", "", `{}`); status != 201 {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	for version := 1; version <= 6; version++ {
		var all sync.WaitGroup
		var done, refused atomic.Int32
		for i := range 6 {
			all.Go(func() {
				status, answer, err := call("PATCH", "/v1/subjects/user/race", fmt.Sprintf(`"%d"`, version),
					fmt.Sprintf(`{"data":{"by":%d}}`, i))
				switch status {
				case 200:
					done.Add(1)
				case 412:
					refused.Add(1)
				default:
					t.Errorf("version %d: %d %s %v", version, status, answer, err)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 || refused.Load() != 5 {
			t.Errorf("version %d: %d updates were done, %d refused", version, done.Load(), refused.Load())
		}
	}
}
