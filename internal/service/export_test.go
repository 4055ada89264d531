package service

import (
	"context"

	"github.com/consentd/consentd/internal/consent"
)

// KeyTextForTest writes a well-formed key that nobody made.
func KeyTextForTest(organization, id consent.ID) string {
	return keyText(organization, id, [secretBytes]byte{1}, false)
}

// KeepErasures does what the service does by itself once a minute.
func (s *Service) KeepErasures(ctx context.Context) error { return s.keepErasures(ctx) }
