package service

import (
	"context"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// KeyTextForTest writes a well-formed key that nobody made.
func KeyTextForTest(organization, id consent.ID) string {
	return keyText(organization, id, [secretBytes]byte{1}, false)
}

// KeepErasures does what the service does by itself once a minute.
func (s *Service) KeepErasures(ctx context.Context) error { return s.keepErasures(ctx) }

// LoseKeysForTest lets the key file be out of sight for so long that nothing is encrypted by what it held before.
func (s *Service) LoseKeysForTest() { s.secrets.sawInOrder(time.Now().Add(-unseenAfter)) }

// ViewForTest reads as the service does, with what is sealed decrypted.
func (s *Service) ViewForTest(ctx context.Context, read func(Reader) error) error {
	return s.store.View(ctx, read)
}

// KnowsKeyForTest tells whether a subject's key is in memory.
func (s *Service) KnowsKeyForTest(of consent.SubjectKey) bool {
	k := &s.secrets.opened
	k.mu.Lock()
	defer k.mu.Unlock()
	_, young := k.young[of]
	_, old := k.old[of]
	return young || old
}

// WakeFeedsForTest has wake called where who is told of events may have to be.
func (s *Service) WakeFeedsForTest(wake func()) { s.wakeFeeds = wake }
