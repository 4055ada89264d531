package geo

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// An .mmdb file is a binary tree over the bits of an address, then the records, then metadata.
// This writes the smallest thing that the format allows, so that no binary lies in testdata:
// https://maxmind.github.io/MaxMind-DB/
type mmdbWriter struct {
	nodes   [][2]int // a child is a node, 0 for none, or -1-i for record i
	records []any
}

// writeMMDB writes a file of networks, in IPv6 form with IPv4 below ::/96, and gives its path.
func writeMMDB(t testing.TB, networks map[string]any) string {
	t.Helper()
	w := &mmdbWriter{nodes: make([][2]int, 1)}
	for _, cidr := range slices.Sorted(maps.Keys(networks)) {
		w.insert(netip.MustParsePrefix(cidr), networks[cidr])
	}
	return writeFile(t, w.bytes())
}

func writeFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *mmdbWriter) insert(prefix netip.Prefix, record any) {
	bits := prefix.Bits()
	addr := prefix.Addr().As16()
	if prefix.Addr().Is4() {
		bits += 96
		v4 := prefix.Addr().As4()
		addr = [16]byte{12: v4[0], v4[1], v4[2], v4[3]} // ::a.b.c.d, not ::ffff:a.b.c.d
	}
	w.records = append(w.records, record)
	node := 0
	for i := range bits {
		side := addr[i/8] >> (7 - i%8) & 1
		if i == bits-1 {
			w.nodes[node][side] = -len(w.records)
			return
		}
		if w.nodes[node][side] == 0 {
			w.nodes = append(w.nodes, [2]int{})
			w.nodes[node][side] = len(w.nodes) - 1
		}
		node = w.nodes[node][side]
	}
}

func (w *mmdbWriter) bytes() []byte {
	var data []byte
	var offsets []int
	for _, record := range w.records {
		offsets = append(offsets, len(data))
		data = appendValue(data, record)
	}
	var out []byte
	for _, node := range w.nodes {
		for _, child := range node {
			pointer := child
			switch {
			case child == 0:
				pointer = len(w.nodes)
			case child < 0:
				pointer = len(w.nodes) + 16 + offsets[-child-1]
			}
			out = append(out, byte(pointer>>16), byte(pointer>>8), byte(pointer))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return appendValue(out, map[string]any{
		"binary_format_major_version": 2,
		"binary_format_minor_version": 0,
		"build_epoch":                 1,
		"database_type":               "Test",
		"ip_version":                  6,
		"node_count":                  len(w.nodes),
		"record_size":                 24,
	})
}

// appendValue knows maps, strings and numbers, each shorter than the length that needs a second byte.
func appendValue(out []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return append(append(out, 2<<5|byte(len(v))), v...)
	case int:
		return binary.BigEndian.AppendUint32(append(out, 6<<5|4), uint32(v))
	case map[string]any:
		out = append(out, 7<<5|byte(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = appendValue(appendValue(out, key), v[key])
		}
		return out
	default:
		panic("appendValue: what is this?")
	}
}
