package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of a secret's bytes, and how many a new one has (Standard Webhooks, section "Signature scheme").
const (
	minSecret = 24
	maxSecret = 64
	newSecret = 32
)

// secretPrefix tells people what a secret is for, and tools that look for secrets in texts.
const secretPrefix = "whsec_"

// Secret is what messages to one address are signed with. However it is formatted, it does not show itself.
type Secret struct{ key []byte }

// NewSecret draws a secret of 32 bytes. The error is the source's.
func NewSecret(random io.Reader) (Secret, error) {
	key := make([]byte, newSecret)
	if _, err := io.ReadFull(random, key); err != nil {
		return Secret{}, fmt.Errorf("draw a webhook secret: %w", err)
	}
	return Secret{key}, nil
}

// SecretOf gives the secret of some bytes, as Bytes gave them; an error where they are fewer than 24 or more than 64.
func SecretOf(key []byte) (Secret, error) {
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, fmt.Errorf("a webhook secret has %d to %d bytes, this one has %d", minSecret, maxSecret, len(key))
	}
	return Secret{key}, nil
}

var errSecretText = errors.New("a webhook secret is whsec_ and 24 to 64 bytes in base64")

// ParseSecret reads a secret in the form that Text gives. The error does not repeat it.
// Source: Standard Webhooks, section "Signature scheme".
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok || strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return Secret{}, errSecretText
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return Secret{}, errSecretText
	}
	secret, err := SecretOf(key)
	if err != nil {
		return Secret{}, errSecretText
	}
	return secret, nil
}

// Text is the secret as receivers are given it: whsec_ and base64.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.key) }

// Bytes are the secret itself, which must not be changed.
func (s Secret) Bytes() []byte { return s.key }

// String hides the secret, so that no log shows it.
func (s Secret) String() string { return secretPrefix + "********" }

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// sign gives the signatures of a message by each secret, newest first and separated by spaces: HMAC-SHA256 of its id,
// its time in seconds and its body, with dots between (Standard Webhooks, section "Signature scheme").
func sign(secrets []Secret, id string, at time.Time, body []byte) string {
	var signatures []byte
	head := id + "." + strconv.FormatInt(at.Unix(), 10) + "."
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret.key)
		mac.Write([]byte(head))
		mac.Write(body)
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = append(signatures, "v1,"...)
		signatures = base64.StdEncoding.AppendEncode(signatures, mac.Sum(nil))
	}
	return string(signatures)
}
