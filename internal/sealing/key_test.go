package sealing

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestNewKey(t *testing.T) {
	key, err := NewKey(bytes.NewReader(counted(1, 32)))
	if err != nil || !bytes.Equal(key.Secret()[:], counted(1, 32)) {
		t.Errorf("not the bytes that were drawn (%v)", err)
	}
	broken := errors.New("broken")
	for name, random := range map[string]io.Reader{
		"short":  bytes.NewReader(counted(1, 31)),
		"broken": iotest.ErrReader(broken),
		"zeros":  bytes.NewReader(make([]byte, 32)),
	} {
		if key, err := NewKey(random); err == nil || key.Secret() != nil {
			t.Errorf("%s: a key was drawn (%v)", name, err)
		}
	}
}
