package sealing

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain is also another process that changes key files, where a test starts it as that.
func TestMain(m *testing.M) {
	path := os.Getenv("SEALING_TEST_FILE")
	switch os.Getenv("SEALING_TEST_CHILD") {
	case "create":
		f, made, err := Create(path, rand.Reader, testTime)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(f.Fingerprint(), made)
	case "rotate":
		for {
			f, err := rotate(path, testTime)
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(f.KEKs()[len(f.KEKs())-1].ID)
		}
	default:
		os.Exit(m.Run())
	}
}

// child starts another process on a key file.
func child(t *testing.T, task, path string, output io.Writer) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEALING_TEST_CHILD="+task, "SEALING_TEST_FILE="+path)
	cmd.Stdout = output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestProcessesAgree: servers that start at once on an empty folder have one key file.
func TestProcessesAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	outputs := make([]bytes.Buffer, 4)
	var children []*exec.Cmd
	for i := range outputs {
		children = append(children, child(t, "create", path, &outputs[i]))
	}
	for i, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, &outputs[i])
		}
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	makers := 0
	for i := range outputs {
		fingerprint, made, _ := strings.Cut(strings.TrimSpace(outputs[i].String()), " ")
		if fingerprint != f.Fingerprint() {
			t.Errorf("a process has %s, the file is %s", fingerprint, f.Fingerprint())
		}
		if made == "true" {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d processes made the file", makers)
	}
	onlyFile(t, path)
}

// TestKilledRotations kills processes that rotate one file, two at a time: no key that one of them was given is lost,
// and the file is whole each time.
func TestKilledRotations(t *testing.T) {
	path := newPath(t)
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	var acknowledged []string
	for round := range rounds {
		outputs, children := make([]bytes.Buffer, 2), []*exec.Cmd{}
		for i := range outputs {
			children = append(children, child(t, "rotate", path, &outputs[i]))
		}
		waitForChange(t, path)
		time.Sleep(time.Duration(round) * 3 * time.Millisecond) // at another step each time
		for i, cmd := range children {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // says that it was killed
			acknowledged = append(acknowledged, wholeLines(t, &outputs[i])...)
		}
		f, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range acknowledged {
			if !slices.Contains(ids(f), id) {
				t.Fatalf("round %d: the key %s is lost", round, id)
			}
		}
	}
	if _, err := rotate(path, testTime); err != nil {
		t.Errorf("after all of it: %v", err)
	}
	onlyFile(t, path)
	if len(acknowledged) == 0 {
		t.Error("nothing was rotated")
	}
}

func waitForChange(t *testing.T, path string) {
	t.Helper()
	before := readFile(t, path)
	for range 5000 {
		if readFile(t, path) != before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no process changes the file")
}

// wholeLines gives the ids that a killed process printed; of the last line there may be a part.
func wholeLines(t *testing.T, output io.Reader) (lines []string) {
	t.Helper()
	reader := bufio.NewReader(output)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return lines
		}
		id, err := ParseKEKID(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("a process says: %s", line)
		}
		lines = append(lines, id.String())
	}
}

// TestChangesAtOnce: many goroutines rotate and retire while others read; no rotation is lost and no read fails.
func TestChangesAtOnce(t *testing.T) {
	path := newPath(t)
	const workers = 4
	kept, done := make([][]string, workers), make(chan struct{})
	var changing, reading sync.WaitGroup
	for worker := range workers {
		changing.Go(func() { kept[worker] = rotateAndRetire(t, path, 10, worker%2 != 0) })
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, err := Load(path); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond) // or else those who change it wait for long
				}
			}
		})
	}
	changing.Wait()
	close(done)
	reading.Wait()
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	got, want := ids(f)[1:], slices.Concat(kept...) // the first was there before
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	onlyFile(t, path)
}

// rotateAndRetire rotates some times, retires each key of its own but the newest if told so, and gives what is left.
func rotateAndRetire(t *testing.T, path string, turns int, retire bool) (kept []string) {
	for range turns {
		f, err := rotate(path, testTime)
		if err != nil {
			t.Error(err)
			return kept
		}
		kept = append(kept, ids(f)[len(f.KEKs())-1])
		if !retire || len(kept) < 2 {
			continue
		}
		id, _ := ParseKEKID(kept[0])
		if _, err := Retire(path, id); err != nil {
			t.Error(err)
		}
		kept = kept[1:]
	}
	return kept
}

// TestCrashes stops a change after each of its steps, and looks at what is there and at what the next change makes of
// it.
func TestCrashes(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, path string){
		"half a staged file": func(t *testing.T, path string) {
			writeFile(t, path+stagedSuffix, vectorFile[:100], 0o600)
		},
		"a staged file": func(t *testing.T, path string) {
			if err := stage(path, []byte(vectorFile), nil); err != nil {
				t.Fatal(err)
			}
		},
		"linked, and the staged name still there": func(t *testing.T, path string) {
			if _, err := os.Stat(path); err == nil {
				return // to link is the first start only
			}
			if err := stage(path, []byte(vectorFile), nil); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(path+stagedSuffix, path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name+" at the first start", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			crash(t, path)
			checkNext(t, path)
		})
		t.Run(name+" later", func(t *testing.T) {
			path := newPath(t)
			before := readFile(t, path)
			crash(t, path)
			if readFile(t, path) != before {
				t.Error("the key file changed")
			}
			checkNext(t, path)
		})
	}
}

// checkNext starts a server and rotates.
func checkNext(t *testing.T, path string) {
	t.Helper()
	left, leftErr := os.Open(path + stagedSuffix)
	f, made, err := Create(path, rand.Reader, testTime)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := rotate(path, testTime)
	if err != nil || rotated.Fingerprint() != f.Fingerprint() || len(rotated.KEKs()) != 2 ||
		rotated.KEKs()[0] != f.KEKs()[0] {
		t.Fatalf("made %t, then rotated to %v: %v", made, rotated.KEKs(), err)
	}
	onlyFile(t, path)
	if leftErr != nil {
		return
	}
	defer func() { _ = left.Close() }()
	text, err := io.ReadAll(left)
	if err != nil {
		t.Fatal(err)
	}
	// What was left holds keys. It is overwritten, unless it is the key file itself, which rotating spares.
	linked := strings.HasPrefix(f.Fingerprint(), "9091")
	if zeros := strings.Trim(string(text), "\x00") == ""; zeros == linked {
		t.Errorf("what was left: %d bytes, zeros %t, the key file itself %t", len(text), zeros, linked)
	}
}

// TestStagedLinkIsNotFollowed: whatever stands at the staged name, only that name goes.
func TestStagedLinkIsNotFollowed(t *testing.T) {
	path, precious := newPath(t), filepath.Join(t.TempDir(), "precious")
	writeFile(t, precious, "precious", 0o600)
	if err := os.Symlink(precious, path+stagedSuffix); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate(path, testTime); err != nil {
		t.Fatal(err)
	}
	if text := readFile(t, precious); text != "precious" {
		t.Errorf("it reads %q", text)
	}
	onlyFile(t, path)
}
