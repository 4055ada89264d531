package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a server that was started to be measured.
type child struct {
	command *exec.Cmd
	url     string
	started time.Duration // from exec to the first answer of /readyz
	ended   bool
}

// startChild starts a program that takes --listen, on a free port, and waits until it is ready.
func startChild(ctx context.Context, binary string, environment []string, args ...string) (*child, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := "127.0.0.1:" + port
	args = append(args, "--listen", listen)
	c := &child{command: exec.CommandContext(ctx, binary, args...), url: "http://" + listen}
	c.command.Env = append(os.Environ(), environment...)
	log, err := os.CreateTemp("", "consentd-bench-log-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	c.command.Stderr = log
	began := time.Now()
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 10*time.Second && ctx.Err() == nil {
		res, err := http.Get(c.url + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			c.started = time.Since(began)
			return c, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	_ = c.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s did not become ready: %s", strings.Join(args, " "), text)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// stop ends the child and waits for it; a second call does nothing.
func (c *child) stop() error {
	if c.ended {
		return nil
	}
	c.ended = true
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := c.command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return nil // by our signal
	}
	return err
}

// commits gives how many write requests the server has committed so far, and in how many commits.
func (c *child) commits() (requests, commits float64, err error) {
	res, err := http.Get(c.url + "/metrics")
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		for name, into := range map[string]*float64{
			"consentd_batch_requests_sum ": &requests, "consentd_batch_requests_count ": &commits} {
			if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
				if *into, err = strconv.ParseFloat(rest, 64); err != nil {
					return 0, 0, err
				}
			}
		}
	}
	return requests, commits, lines.Err()
}
