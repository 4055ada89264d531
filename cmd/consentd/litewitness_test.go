package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/consentd/consentd/internal/logtest"
)

// torchwood is where litewitness comes from: a witness that others wrote, by C2SP tlog-witness.
const torchwood = "filippo.io/torchwood/cmd/%s@v0.6.1"

// litewitness is one that runs or ran, with a key in an agent and a database of the ledgers that it knows.
type litewitness struct {
	programs, folder string
	name, vkey       string
	address          string
	fingerprint      string
	cmd              *exec.Cmd
	log              logtest.Buffer
}

// newLitewitness builds it, and starts an agent that has its key.
func newLitewitness(t *testing.T) *litewitness {
	t.Helper()
	w := &litewitness{programs: t.TempDir(), folder: shortFolder(t), name: "witness.example/w1"}
	for _, program := range []string{"litewitness", "witnessctl"} {
		install := exec.Command("go", "install", fmt.Sprintf(torchwood, program))
		install.Env = append(os.Environ(), "GOBIN="+w.programs, "GOFLAGS=", "CGO_ENABLED=0")
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("install %s: %v\n%s", program, err, out)
		}
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	alg := append([]byte{4}, public...)
	id := sha256.Sum256(append([]byte(w.name+"\n"), alg...))
	w.vkey = fmt.Sprintf("%s+%x+%s", w.name, id[:4], base64.StdEncoding.EncodeToString(alg))
	shown, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	w.fingerprint = ssh.FingerprintSHA256(shown)
	w.serveAgent(t, private)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	_ = l.Close() // nobody else takes it in between, as good as always
	return w
}

// shortFolder is for a socket, of which the path must be short.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serveAgent is an ssh-agent, from which litewitness has its key.
func (w *litewitness) serveAgent(t *testing.T, key ed25519.PrivateKey) {
	t.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: &key}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(w.folder, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				_ = agent.ServeAgent(ring, c) // until the other end leaves
			})
		}
	})
	t.Cleanup(func() {
		w.kill(t)
		_ = l.Close()
		running.Wait()
	})
}

// start runs it until it listens.
func (w *litewitness) start(t *testing.T) {
	t.Helper()
	w.cmd = exec.Command(filepath.Join(w.programs, "litewitness"), "-listen", w.address, "-name", w.name, "-key",
		w.fingerprint, "-ssh-agent", filepath.Join(w.folder, "agent"), "-db", w.database())
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logFailed(t, "litewitness: %s", &w.log)
	waitFor(t, "litewitness listens", func() bool {
		c, err := net.Dial("tcp", w.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	hold(t, "its log", w.log.String(), w.vkey)
}

// kill ends it without a word.
func (w *litewitness) kill(t *testing.T) {
	t.Helper()
	if w.cmd == nil {
		return
	}
	if err := w.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = w.cmd.Wait()
	w.cmd = nil
}

func (w *litewitness) database() string { return filepath.Join(w.folder, "witness.db") }

// control runs witnessctl.
func (w *litewitness) control(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{args[0], "-db", w.database()}, args[1:]...)
	out, err := exec.Command(filepath.Join(w.programs, "witnessctl"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("witnessctl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// know adds a ledger to those that it knows.
func (w *litewitness) know(t *testing.T, vkey string) {
	t.Helper()
	origin, _, _ := strings.Cut(vkey, "+")
	w.control(t, "add-log", "-origin", origin)
	w.control(t, "add-key", "-origin", origin, "-key", vkey)
}

// sees is how many entries it has seen of the one ledger that it knows.
func (w *litewitness) sees(t *testing.T) int {
	t.Helper()
	var listed struct{ Size int }
	if err := json.Unmarshal(bytes.TrimSpace([]byte(w.control(t, "list-logs"))), &listed); err != nil {
		t.Fatal(err)
	}
	return listed.Size
}
