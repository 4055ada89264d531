package main

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/server"
)

const (
	peerShare   = maxConns / 2
	peerNetwork = 64 // bits: who has one IPv6 address mostly has all that begin with these
	// refusalQuiet is how long nothing is logged after a line about refused connections: whoever makes them would fill the
	// log.
	refusalQuiet = time.Minute
)

// peers counts the open connections of each peer, so that none of them takes all that the server accepts.
type peers struct {
	share   int            // the most that one may have open
	trusted []netip.Prefix // proxies, which bring everybody's connections: not counted
	log     *slog.Logger

	mu      sync.Mutex
	open    map[netip.Addr]int // by peer; who has none open has no entry
	refused uint64
	said    time.Time // when a refusal was logged
}

func newPeers(trusted []netip.Prefix, log *slog.Logger) *peers {
	return &peers{share: peerShare, trusted: trusted, log: log, open: map[netip.Addr]int{}}
}

// enter counts a connection, unless its peer has its share. leave takes the peer that it gives.
func (p *peers) enter(from net.Addr) (peer netip.Addr, ok bool) {
	addr := addrOf(from)
	if p.trusts(addr) {
		return netip.Addr{}, true
	}
	peer = peerOf(addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[peer] >= p.share {
		return netip.Addr{}, false
	}
	p.open[peer]++
	return peer, true
}

func (p *peers) leave(peer netip.Addr) {
	if !peer.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[peer]--; p.open[peer] <= 0 {
		delete(p.open, peer)
	}
}

// refuse closes a connection over the share by a reset, so that the kernel keeps nothing of it either.
func (p *peers) refuse(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
	if total, due := p.countRefused(); due { // without the address: a person's is personal data
		p.log.Warn("connections are refused: one address has its share of them open; if it is a proxy, name it in "+
			"--trusted-proxies",
			"share", p.share, "refused", total)
	}
}

// countRefused counts a refused connection, and reports whether a log line is due.
func (p *peers) countRefused() (total uint64, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused++
	if due = p.said.IsZero() || time.Since(p.said) >= refusalQuiet; due {
		p.said = time.Now()
	}
	return p.refused, due
}

// figure is what /metrics shows.
func (p *peers) figure() server.Figure {
	p.mu.Lock()
	defer p.mu.Unlock()
	return server.Figure{Name: "consentd_connections_refused_total", Counts: true, Value: float64(p.refused),
		Help: "Connections closed at once, since their address had its share of connections open."}
}

func (p *peers) trusts(a netip.Addr) bool {
	for _, prefix := range p.trusted {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// addrOf gives the address of a TCP peer without its zone, the way that prefixes are written.
func addrOf(from net.Addr) netip.Addr {
	if tcp, ok := from.(*net.TCPAddr); ok && tcp.AddrPort().IsValid() {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.IPv6Unspecified() // whom the kernel does not name shares with all such
}

// peerOf gives what a peer is known by: an IPv4 address, or the network of an IPv6 address.
func peerOf(a netip.Addr) netip.Addr {
	network, _ := a.Prefix(min(peerNetwork, a.BitLen())) // never longer than the address: no error
	return network.Addr()
}
