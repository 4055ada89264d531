package scratchpg

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exitVariable tells this test binary, started anew by a test, to make a server and
// to come to an end of a kind.
const exitVariable = "SCRATCHPG_EXIT"

// runAndExit is the life of such a process: it says where its server listens, and either
// leaves without a farewell or waits to be killed.
func runAndExit(exit string) {
	s, err := Start(Options{})
	if err == nil && exit == "frozen" {
		err = s.Freeze()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	if exit == "exits" {
		os.Exit(0)
	}
	time.Sleep(time.Minute)
	os.Exit(1) // also keeps s in use until here
}

// TestEndsWithItsProcess starts processes that leave their server behind, and looks
// that neither it nor its folder is there a little later.
func TestEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	for _, exit := range []string{"exits", "killed", "frozen"} {
		t.Run(exit, func(t *testing.T) {
			t.Parallel()
			temp := openFolder(t)
			child, said := launch(t, exit, temp)
			addr, err := said.ReadString('\n')
			addr = strings.TrimSpace(addr)
			if err != nil || !listens(addr) {
				t.Fatalf("the child has no server at %q (%v)", addr, err)
			}
			if exit != "exits" {
				must(t, child.Process.Kill())
			}
			_ = child.Wait()
			waitFor(t, "PostgreSQL to end", func() bool { return !listens(addr) })
			waitFor(t, "the folder to go", func() bool { return empty(t, temp) })
		})
	}
}

// TestEndsWithItsProcessHalfMade kills a process while its server comes to be.
func TestEndsWithItsProcessHalfMade(t *testing.T) {
	t.Parallel()
	temp := openFolder(t)
	child, _ := launch(t, "killed", temp)
	waitFor(t, "initdb to be at work", func() bool {
		found, err := filepath.Glob(filepath.Join(temp, "*", "data", "base"))
		must(t, err)
		return len(found) > 0
	})
	must(t, child.Process.Kill())
	_ = child.Wait()
	if empty(t, temp) {
		t.Error("the kill came too late to prove anything")
	}
	waitFor(t, "the folder to go", func() bool { return empty(t, temp) })
}

func launch(t *testing.T, exit, temp string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	child := exec.Command(self)
	child.Env = append(os.Environ(), exitVariable+"="+exit, "TMPDIR="+temp)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	return child, bufio.NewReader(out)
}

// openFolder is a temporary folder that PostgreSQL's user can enter and write in,
// which under root t.TempDir() is not.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "scratchpg-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(folder)) })
	must(t, os.Chmod(folder, os.ModeSticky|0o777))
	return folder
}

func empty(t *testing.T, folder string) bool {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	return len(entries) == 0
}
