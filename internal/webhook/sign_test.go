package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"
)

func secretFrom(b byte) Secret { return Secret{bytes.Repeat([]byte{b}, newSecret)} }

// TestKnownSignature: the example of Standard Webhooks.
func TestKnownSignature(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign([]Secret{secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
}

func TestSecrets(t *testing.T) {
	s, err := NewSecret(bytes.NewReader(make([]byte, newSecret)))
	if err != nil || s.Text() != "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)) {
		t.Errorf("%v, %v", s.Text(), err)
	}
	if _, err := NewSecret(bytes.NewReader(make([]byte, newSecret-1))); err == nil {
		t.Error("a source that ends made a secret")
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s),
		fmt.Sprintf("%v", Endpoint{Secrets: []Secret{s}})} {
		if strings.Contains(shown, "AAAA") || strings.Contains(shown, "0 0 0") {
			t.Errorf("a secret is shown as %s", shown)
		}
	}
	for text, fine := range map[string]bool{
		"whsec_" + strings.Repeat("A", 32):          true,  // 24 bytes
		"whsec_" + strings.Repeat("A", 28):          false, // 21
		"whsec_" + strings.Repeat("A", 84) + "AA==": true,  // 64
		"whsec_" + strings.Repeat("A", 88):          false, // 66
		strings.Repeat("A", 32):                     false,
		"whsec_" + strings.Repeat("A", 31) + "\n":   false,
		"whsec_\n" + strings.Repeat("A", 32):        false,
		"whsec_" + strings.Repeat("?", 32):          false,
		"":                                          false,
	} {
		if _, err := ParseSecret(text); (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), minSecret, maxSecret).Draw(t, "key")
		s, err := SecretOf(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseSecret(s.Text())
		if err != nil || !bytes.Equal(back.Bytes(), key) {
			t.Fatalf("%x came back as %x, %v", key, back.Bytes(), err)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err == nil && s.Text() != text {
			t.Errorf("%q is read as %q", text, s.Text())
		}
	})
}

// received is a message as it came in.
type received struct {
	header http.Header
	body   []byte
}

// TestOfficialGoLibrary verifies what is really sent, by the newest secret and by the one before, by nobody else's, and
// not where a byte was changed.
func TestOfficialGoLibrary(t *testing.T) {
	newest, before := secretFrom(1), secretFrom(2)
	got := deliver(t, []Secret{newest, before}, `{"type":"webhook.ping","data":{}}`)
	for secret, verifies := range map[string]bool{newest.Text(): true, before.Text(): true,
		secretFrom(3).Text(): false} {
		if err := verifyInGo(t, secret, got); (err == nil) != verifies {
			t.Errorf("verified by %s: %v", secret, err)
		}
	}
	changed := received{got.header, append(bytes.Clone(got.body[:len(got.body)-1]), ' ')}
	if err := verifyInGo(t, newest.Text(), changed); err == nil {
		t.Error("a changed body verifies")
	}
	old := got.header.Clone()
	old.Set("webhook-id", "another")
	if err := verifyInGo(t, newest.Text(), received{old, got.body}); err == nil {
		t.Error("another id verifies")
	}
}

func verifyInGo(t *testing.T, secret string, m received) error {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.Verify(m.body, m.header)
}

// deliver sends a message to a receiver of the test and gives what came in there.
func deliver(t *testing.T, secrets []Secret, body string) (got received) {
	t.Helper()
	c, url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = received{r.Header, body}
	})
	m := Message{ID: "019b3a3c-0000-8000-8000-000000000001", At: time.Now(), Body: []byte(body)}
	if result := c.Send(t.Context(), Endpoint{url, secrets}, m); !result.Taken() {
		t.Fatalf("%+v", result)
	}
	return got
}

// TestOfficialNodeLibrary does the same as TestOfficialGoLibrary with the library for Node.js.
func TestOfficialNodeLibrary(t *testing.T) {
	folder := installLibrary(t)
	newest, before := secretFrom(1), secretFrom(2)
	got := deliver(t, []Secret{newest, before}, `{"type":"consent.recorded","data":{"text":"grüße 😀"}}`)
	headers := map[string]string{}
	for name := range got.header {
		headers[strings.ToLower(name)] = got.header.Get(name)
	}
	type message struct {
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	in, err := json.Marshal(map[string][]message{"messages": {{newest.Text(), headers, string(got.body)},
		{before.Text(), headers, string(got.body)}, {secretFrom(3).Text(), headers, string(got.body)},
		{newest.Text(), headers, string(got.body) + " "}}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "verify.mjs")
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(in)
	said, err := cmd.CombinedOutput()
	if want := "consent.recorded\nconsent.recorded\nrefused\nrefused\n"; err != nil || string(said) != want {
		t.Errorf("%v, said %q, want %q", err, said, want)
	}
}

// installLibrary gives a folder with testdata/npm and the modules of its lock file. They are installed once per
// content, outside the repository.
func installLibrary(t *testing.T) string {
	t.Helper()
	sum := sha256.New()
	files := os.DirFS("testdata/npm")
	for _, name := range []string{"package.json", "package-lock.json", "verify.mjs"} {
		content, err := os.ReadFile(filepath.Join("testdata/npm", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(content)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	folder := filepath.Join(cache, "consentd-test", hex.EncodeToString(sum.Sum(nil)[:16]))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(fresh, files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci (`make test` installs npm, or scripts/need.sh node npm): %v\n%s", err, said)
	}
	if err := os.Rename(fresh, folder); err != nil {
		if _, missing := os.Stat(folder); missing != nil {
			t.Fatal(err)
		} // else another test run was first
	}
	return folder
}
