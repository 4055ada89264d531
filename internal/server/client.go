package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// client gives the address of the person or server that calls: the peer's or, behind trusted proxies, the nearest one
// in the forwarding headers that is not a trusted proxy's. It is absent (the zero Addr) where that one is no address,
// where every one is a trusted proxy's, and where a trusted proxy names nobody: a proxy's address is never taken for
// a person's. X-Forwarded-For is read where the request has it, else Forwarded (RFC 7239).
func (s *Server) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if !s.trusted(addr) {
		return addr
	}
	if lines := r.Header["X-Forwarded-For"]; len(lines) > 0 {
		return s.nearest(lines, addressOf)
	}
	return s.nearest(r.Header["Forwarded"], forwardedFor)
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// nearest goes through the hops of a header from the last, which the proxy next to us wrote, to the first. Several
// lines are one list (RFC 9110, section 5.3), and empty elements of it count for nothing (section 5.6.1.2).
func (s *Server) nearest(lines []string, read func(hop string) netip.Addr) netip.Addr {
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, hop := lines[i], ""; rest != ""; {
			rest, hop = cutLast(rest, ',')
			if hop = strings.Trim(hop, " \t"); hop == "" {
				continue
			}
			if addr := read(hop); !s.trusted(addr) {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// cutLast cuts the last element off a list that may have quoted strings. It reads from the end: what the nearest proxy
// wrote is well-formed, so a quote that a client left open before it changes nothing.
func cutLast(list string, separator byte) (rest, last string) {
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i] {
		case separator:
			return list[:i], list[i+1:]
		case '"':
			i = opening(list[:i])
		}
	}
	return "", list
}

// opening finds the quote that opens a quoted string; -1 where none does. A quote behind an odd number of backslashes
// is a part of the string.
func opening(s string) int {
	for {
		at := strings.LastIndexByte(s, '"')
		if at < 0 {
			return -1
		}
		before := strings.TrimRight(s[:at], `\`)
		if (at-len(before))%2 == 0 {
			return at
		}
		s = s[:at]
	}
}

// forwardedFor gives the address of an element of Forwarded: its parameter "for", whose name is in any letter case. It
// is absent where there is none, or more than one.
func forwardedFor(element string) (addr netip.Addr) {
	found := false
	for rest, pair := element, ""; rest != ""; {
		rest, pair = cutLast(rest, ';')
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return netip.Addr{}
		}
		found = true
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			value, ok = strings.CutSuffix(inner, `"`)
			if !ok || strings.ContainsAny(value, `"\`) { // no address needs a quoted pair
				value = ""
			}
		}
		addr = addressOf(value)
	}
	return addr
}

// addressOf reads a node as proxies write it: an IPv4 address, an IPv6 one with or without brackets, either with a port
// (an IPv6 one in brackets only). A zone is cut. Absent is what is no address, such as "unknown" or "_name" (RFC 7239,
// section 6).
func addressOf(node string) netip.Addr {
	host, port, hasPort := node, "", false
	inner, bracketed := strings.CutPrefix(node, "[")
	switch {
	case bracketed:
		host, port, bracketed = strings.Cut(inner, "]")
		if port, hasPort = strings.CutPrefix(port, ":"); !bracketed || !hasPort && port != "" {
			return netip.Addr{}
		}
	case strings.Count(node, ":") == 1:
		host, port, hasPort = strings.Cut(node, ":")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || hasPort && !isPort(port) || bracketed && addr.Is4() {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// isPort reports whether it is a port of a node (RFC 7239, section 6): 1 to 5 digits, or a name that begins with "_".
func isPort(s string) bool {
	if name, ok := strings.CutPrefix(s, "_"); ok {
		return name != ""
	}
	return len(s) >= 1 && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}
