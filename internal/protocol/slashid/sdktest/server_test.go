package sdktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startServer builds consentd and runs it on a port of its own, over an empty folder, until the test ends.
func startServer(t *testing.T) *server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "consentd")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary,
		"github.com/consentd/consentd/cmd/consentd")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	s := &server{root: "root-key-of-the-test-of-the-vendor-client"}
	cmd := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--log-format", "json")
	cmd.Env = append(withoutSettings(os.Environ()), "CONSENTD_ROOT_KEY="+s.root)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := follow(stderr)
	t.Cleanup(func() { end(t, cmd, log) })
	select {
	case s.url = <-log.url:
	case <-log.ended:
		t.Fatal("consentd ended before it listened")
	case <-time.After(30 * time.Second):
		t.Fatal("consentd does not say where it listens")
	}
	return s
}

// withoutSettings takes out the settings of whoever runs the test.
func withoutSettings(environ []string) (kept []string) {
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "CONSENTD_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// serverLog is what a server said on its standard error.
type serverLog struct {
	url   chan string   // gets where it listens
	ended chan struct{} // closed with the last line
	text  bytes.Buffer  // may be read once ended is closed
}

// follow reads a server's log to its end.
func follow(from io.Reader) *serverLog {
	log := &serverLog{url: make(chan string, 1), ended: make(chan struct{})}
	go func() {
		defer close(log.ended)
		for lines := bufio.NewScanner(from); lines.Scan(); {
			log.text.Write(append(lines.Bytes(), '\n'))
			var line struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				log.url <- line.URL
			}
		}
	}()
	return log
}

// end asks the server to end, as an operator would; it must do so in order.
func end(t *testing.T, cmd *exec.Cmd, log *serverLog) {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Logf("signal: %v", err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	<-log.ended
	if err := cmd.Wait(); err != nil {
		t.Errorf("consentd: %v", err)
	}
	if t.Failed() {
		t.Logf("consentd's log:\n%s", log.text.Bytes())
	}
}
