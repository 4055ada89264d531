package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Resolve gives the addresses of a host, those that are tried first first.
type Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

// maxAddresses is how many of a host's addresses are tried.
const maxAddresses = 4

// fault is an error of which it is known what it means for whoever sent.
type fault struct {
	reason Reason
	err    error
}

func (f *fault) Error() string { return string(f.reason) + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

var errNoAddress = errors.New("the host has no address that may be connected to")

// resolved looks a host up, which happens once for a connection, and gives those of its addresses that may be connected
// to. Where a host has addresses of both kinds, the others are not tried.
func (c *Client) resolved(ctx context.Context, host string, encrypted bool) ([]netip.Addr, error) {
	found := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		found = append(found, literal)
	} else if found, err = c.resolve(ctx, host); ctx.Err() != nil {
		return nil, &fault{Timeout, ctx.Err()}
	} else if err != nil {
		return nil, &fault{Unresolved, err}
	}
	if len(found) == 0 {
		return nil, &fault{Unresolved, errNoAddress}
	}
	var good []netip.Addr
	for _, addr := range found {
		if allowed(addr, c.allow, encrypted) && len(good) < maxAddresses {
			good = append(good, addr)
		}
	}
	if len(good) == 0 {
		return nil, &fault{NotAllowed, errNoAddress}
	}
	return good, nil
}

// dial connects to a host, at an address that it was just resolved to and that may be connected to: nobody looks the
// host up again, so that no second answer can lead elsewhere.
func (c *Client) dial(ctx context.Context, network, hostPort string, encrypted bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	addrs, err := c.resolved(ctx, host, encrypted)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		var conn net.Conn
		if conn, err = c.connect(ctx, network, net.JoinHostPort(addr.String(), port), len(addrs)-i); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// connect connects to one of the addresses that are left, in its share of the time.
func (c *Client) connect(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		within, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
		ctx = within
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err == nil {
		return conn, nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil, &fault{Timeout, err}
	}
	return nil, &fault{Refused, err}
}

// within bounds what is done to connect, which goes on where whoever wanted the connection has left.
func (c *Client) within(ctx context.Context) (context.Context, func()) {
	within, cancel := context.WithTimeout(ctx, c.timeout)
	stop := context.AfterFunc(c.open, cancel)
	return within, func() { stop(); cancel() }
}

// dialPlain connects for http.
func (c *Client) dialPlain(ctx context.Context, network, hostPort string) (net.Conn, error) {
	ctx, done := c.within(ctx)
	defer done()
	return c.dial(ctx, network, hostPort, false)
}

// dialTLS connects for https; the certificate has to be the host's.
func (c *Client) dialTLS(ctx context.Context, network, hostPort string) (net.Conn, error) {
	ctx, done := c.within(ctx)
	defer done()
	conn, err := c.dial(ctx, network, hostPort, true)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	encrypted := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: c.roots,
		ClientSessionCache: c.sessions})
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // it is of no use
		if ctx.Err() != nil {
			return nil, &fault{Timeout, err}
		}
		return nil, &fault{TLS, err}
	}
	return encrypted, nil
}
