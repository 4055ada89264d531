package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consentd/consentd/internal/scratchpg"
)

// TestSpread rotates the hosts of a URL: each connection begins with another one, and still knows the others.
func TestSpread(t *testing.T) {
	for _, tc := range []struct{ name, hosts, options, want string }{
		{"one", "a:1", "sslmode=disable", "a1 a1 a1 a1"},
		{"one with TLS where possible", "a:1", "sslmode=prefer", "a1tls,a1 a1tls,a1 a1tls,a1 a1tls,a1"},
		{"three", "a:1,b:2,c:3", "sslmode=disable", "a1,b2,c3 b2,c3,a1 c3,a1,b2 a1,b2,c3"},
		{"two with TLS where possible", "a:1,b:2", "sslmode=prefer",
			"a1tls,a1,b2tls,b2 b2tls,b2,a1tls,a1 a1tls,a1,b2tls,b2 b2tls,b2,a1tls,a1"},
		{"one host, two ports", "a:1,a:2", "sslmode=disable", "a1,a2 a2,a1 a1,a2 a2,a1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tried []string
			for n := range 4 {
				c, err := pgx.ParseConfig("postgres://u@" + tc.hosts + "/d?" + tc.options)
				if err != nil {
					t.Fatal(err)
				}
				spread(c, n)
				tried = append(tried, hostsOf(c))
			}
			if got := strings.Join(tried, " "); got != tc.want {
				t.Errorf("the hosts are tried in the order\n%s, want\n%s", got, tc.want)
			}
		})
	}
}

func hostsOf(c *pgx.ConnConfig) string {
	name := func(host string, port uint16, tls bool) string {
		text := fmt.Sprint(host, port)
		if tls {
			text += "tls"
		}
		return text
	}
	hosts := []string{name(c.Host, c.Port, c.TLSConfig != nil)}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, name(f.Host, f.Port, f.TLSConfig != nil))
	}
	return strings.Join(hosts, ",")
}

// portsOf opens a pool over several hosts, and counts where its connections lead.
func portsOf(t *testing.T, connections int, options string, servers ...*scratchpg.Server) map[string]int {
	t.Helper()
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.Addr())
	}
	e := newEngine(Options{MaxConns: connections,
		URL: "postgres://consentd@" + strings.Join(addresses, ",") + "/postgres?sslmode=disable" + options})
	pool, err := e.newPool(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ports := map[string]int{}
	for range connections {
		c, err := pool.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer func(c *pgxpool.Conn) { c.Release() }(c)
		var port string
		if err := c.QueryRow(context.Background(), "SELECT current_setting('port')").Scan(&port); err != nil {
			t.Fatal(err)
		}
		ports[port]++
	}
	return ports
}

func portOf(s *scratchpg.Server) string { return s.Addr()[strings.LastIndexByte(s.Addr(), ':')+1:] }

// TestSeveralHosts connects to several servers, of which one follows another and one goes away.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	one, other := newServer(t, nil), newServer(t, nil)
	standby, err := one.Standby("standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, standby) })
	led := func(what string, got, want map[string]int) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, connections by port (-want +got):\n%s", what, diff)
		}
	}
	const readWrite = "&target_session_attrs=read-write"
	led("spread", portsOf(t, 6, "", one, other), map[string]int{portOf(one): 3, portOf(other): 3})
	led("with a standby first", portsOf(t, 4, readWrite, standby, one), map[string]int{portOf(one): 4})
	led("with a standby among those to spread over", portsOf(t, 6, "", standby, one), map[string]int{portOf(one): 6})
	if err := one.Stop("immediate"); err != nil {
		t.Fatal(err)
	}
	led("with one away", portsOf(t, 4, "", one, other), map[string]int{portOf(other): 4})
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	led("with the standby promoted", portsOf(t, 4, readWrite, one, standby), map[string]int{portOf(standby): 4})
}
