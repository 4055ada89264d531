package witness

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/ledger"
)

const origin = "consentd.example/ledger/1"

// key is a witness's, made of one byte.
type key struct {
	name    string
	private ed25519.PrivateKey
	id      uint32
	vkey    string
}

func newKey(name string, seed byte) key {
	private := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	public := append([]byte{4}, private.Public().(ed25519.PublicKey)...)
	id := cosignerID(name, public)
	return key{name, private, id, fmt.Sprintf("%s+%08x+%s", name, id, base64.StdEncoding.EncodeToString(public))}
}

// line cosigns a text.
func (k key) line(seconds uint64, text []byte) string {
	message := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", seconds), text...)
	sig := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, k.id), seconds)
	sig = append(sig, ed25519.Sign(k.private, message)...)
	return "— " + k.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

func (k key) address(t testing.TB, url string) *Address {
	t.Helper()
	a, err := Parse(url + "=" + k.vkey)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// signed is a ledger's checkpoint, signed by the ledger alone.
func signed(t testing.TB, size int64) []byte {
	t.Helper()
	signer, err := ledger.NewSigner(origin, ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := ledger.Sign(&ledger.Checkpoint{Origin: origin, Size: size, Root: tlog.Hash{byte(size), 1}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
