package service

import "github.com/consentd/consentd/internal/consent"

// KeyTextForTest writes a well-formed key that nobody made.
func KeyTextForTest(organization, id consent.ID) string {
	return keyText(organization, id, [secretBytes]byte{1}, false)
}
