package sealing

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// secretForms gives how bytes may look where they are shown by mistake.
func secretForms(secret []byte) []string {
	decimal := fmt.Sprint(secret[:6]) // [1 2 3 …]
	return []string{string(secret[:6]), hex.EncodeToString(secret[:6]), strings.ToUpper(hex.EncodeToString(secret[:6])),
		base64.StdEncoding.EncodeToString(secret[:6]), strings.Trim(decimal, "[]"),
		strings.Trim(strings.ReplaceAll(fmt.Sprintf("%#v", secret[:6]), "[]byte", ""), "{}"),
		strings.Trim(strings.ReplaceAll(decimal, " ", ","), "[]"), strings.Trim(fmt.Sprintf("% x", secret[:6]), "")}
}

// TestSecretsAreNotShown prints what holds keys in every way, by itself and inside of other values.
func TestSecretsAreNotShown(t *testing.T) {
	f, err := parse([]byte(vectorFile))
	if err != nil {
		t.Fatal(err)
	}
	signing, _ := f.SigningKey()
	subject := NewSubject(vectorKey, vectorNonce())
	if _, err := subject.Seal(LabelIdent, nil, nil); err != nil { // so that it holds what is derived
		t.Fatal(err)
	}
	index, err := NewBlindIndex(vectorKey, IndexIdentifier)
	if err != nil {
		t.Fatal(err)
	}
	index.Of("email", 1, "x")
	derived, err := vectorKey.derive(indexLabels[IndexIdentifier])
	if err != nil {
		t.Fatal(err)
	}
	var forms []string
	for _, key := range []Key{vectorKey, f.keks[0].key, f.sign.seed, subject.prk, derived} {
		forms = append(forms, secretForms(key.Secret()[:])...)
	}
	ring := f.Ring(vectorNonce())
	for _, value := range []any{vectorKey, &vectorKey, f, f.keks, signing, &signing, ring, subject, index} {
		kind := reflect.TypeOf(value).String()
		for _, shown := range shownForms(t, value) {
			for _, form := range forms {
				if strings.Contains(shown, form) {
					t.Errorf("%s shows a key: %s", kind, shown)
				}
			}
		}
		if kind != "[]sealing.kek" {
			checkRedacted(t, value)
		}
	}
	for _, shown := range shownForms(t, vectorKey.at.bytes[:]) { // bare, so that the search is known to find
		if !containsAny(shown, forms) {
			t.Errorf("a bare key is not found in %s", shown)
		}
	}
}

// checkRedacted wants a value to be shown as "[secret]", and not as an address or as nothing.
func checkRedacted(t *testing.T, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil || string(text) != `"`+redactedText+`"` {
		t.Errorf("%T in JSON is %s: %v", value, text, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if shown := fmt.Sprintf(verb, value); shown != redactedText {
			t.Errorf("%T by %s is %s", value, verb, shown)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
	if !strings.Contains(log.String(), `value=`+redactedText) {
		t.Errorf("%T in a log is %s", value, log.String())
	}
	if shown := value.(fmt.Stringer).String(); shown != redactedText {
		t.Errorf("%T is %s", value, shown)
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// shownForms gives a value in every way that texts come about.
func shownForms(t *testing.T, value any) []string {
	t.Helper()
	var shown []string
	inside := struct{ value any }{value}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, value), fmt.Sprintf(verb, inside), fmt.Sprintf(verb, []any{value}))
	}
	text, err := json.Marshal(map[string]any{"value": value})
	if err != nil {
		t.Fatal(err)
	}
	shown = append(shown, string(text))
	for _, handler := range []func(io.Writer) slog.Handler{
		func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("x", "value", value)
		shown = append(shown, log.String())
	}
	return shown
}

// TestUnexportedFieldsAreNotShown: fmt asks no method of a value that it finds in an unexported field.
func TestUnexportedFieldsAreNotShown(t *testing.T) {
	f, err := parse([]byte(vectorFile))
	if err != nil {
		t.Fatal(err)
	}
	subject := NewSubject(vectorKey, vectorNonce())
	if _, err := subject.Seal(LabelIdent, nil, nil); err != nil {
		t.Fatal(err)
	}
	holder := struct {
		key  Key
		keks []kek
		sign SigningKey
		prk  Key
	}{vectorKey, f.keks, f.sign, subject.prk}
	var forms []string
	for _, key := range []Key{vectorKey, f.keks[0].key, f.sign.seed, subject.prk} {
		forms = append(forms, secretForms(key.at.bytes[:])...)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if shown := fmt.Sprintf(verb, holder); containsAny(shown, forms) {
			t.Errorf("%s shows a key: %s", verb, shown)
		}
	}
}

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

// TestWiped: what was wiped is zeros, and nothing is encrypted under them.
func TestWiped(t *testing.T) {
	f := newFile(t)
	ring, key := f.Ring(vectorNonce()), newKey(t)
	secret, subject := key.Secret(), NewSubject(key, vectorNonce())
	if _, err := subject.Seal(LabelIdent, nil, []byte("text")); err != nil {
		t.Fatal(err)
	}
	prk := subject.prk.Secret()
	subject.Wipe()
	if *secret != [KeySize]byte{} || *prk != [KeySize]byte{} {
		t.Error("the subject's key is still there")
	}
	for name, err := range map[string]error{
		"wrap":      second(ring.Wrap(key, [16]byte{1}, [16]byte{2})),
		"wrap none": second(ring.Wrap(Key{}, [16]byte{1}, [16]byte{2})),
		"seal":      second(subject.Seal(LabelIdent, nil, nil)),
		"seal none": second(NewSubject(Key{}, vectorNonce()).Seal(LabelIdent, nil, nil)),
		"open":      second(subject.Open(LabelIdent, nil, append([]byte{sealVersion}, make([]byte, Overhead)...))),
		"index":     second(NewBlindIndex(key, IndexIdentifier)),
	} {
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Wipe()
	Key{}.Wipe()
	if _, err := ring.Wrap(newKey(t), [16]byte{1}, [16]byte{2}); !errors.Is(err, ErrNoKey) {
		t.Errorf("wrapped with a key file that was wiped: %v", err)
	}
	if signing, _ := f.SigningKey(); signing.Private() != nil || signing.Public() != nil {
		t.Error("the signing key is still there")
	}
}
