package service

import (
	"context"
	"maps"
	"sync"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// textKey names a text: an organization and a SHA-256.
type textKey struct {
	organization consent.ID
	hash         string
}

// sharedTexts notes texts that several people were shown: they stay so, and nothing about one person is in them. It is
// for use at once from many goroutines.
type sharedTexts struct {
	mu    sync.Mutex
	known map[textKey]bool
}

// maxSharedTexts is how many are noted, about 100 bytes each; then it begins anew.
const maxSharedTexts = 10_000

func (t *sharedTexts) has(text textKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[text]
}

func (t *sharedTexts) add(texts map[textKey]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known)+len(texts) > maxSharedTexts {
		t.known = map[textKey]bool{}
	}
	maps.Copy(t.known, texts)
}

// texts seals each text that one person alone was shown, and leaves it where several were: those that were kept before
// and those of this write. Who is merged with somebody keeps texts of their own, so that each can be erased alone.
func (s *sealer) texts(ctx context.Context) error {
	if len(s.changes.Texts) == 0 {
		return nil
	}
	var open, own []consent.Text
	first := map[textKey]int{} // places in own
	for _, text := range s.changes.Texts {
		key := textKey{text.Organization, string(text.Hash)}
		at, seen := first[key]
		switch {
		case !seen && (text.Subject == consent.NoID || s.t.keys.shared.has(key)):
			first[key] = -1
			open = append(open, text)
		case !seen:
			first[key] = len(own)
			own = append(own, text)
		case at >= 0 && own[at].Subject != text.Subject:
			own[at].Subject = consent.NoID
		}
	}
	holders, err := s.t.tx.TextHolders(ctx, own)
	if err != nil {
		return err
	}
	for i := range own {
		text, held := &own[i], holders[i]
		switch {
		case held.Everybody:
			s.t.share(text)
		case held.Others || text.Subject == consent.NoID:
			s.t.share(text)
			open = append(open, *text)
			s.changes.SharedTexts = append(s.changes.SharedTexts, *text)
		case !held.Subject:
			if err := s.text(text); err != nil {
				return err
			}
		}
	}
	s.changes.Texts = open
	return nil
}

func (s *sealer) text(text *consent.Text) error {
	of := consent.SubjectKey{Organization: text.Organization, Subject: text.Subject}
	sealed, err := s.subjects[of].Seal(sealing.LabelText, text.Hash, []byte(text.Text))
	s.changes.SubjectTexts = append(s.changes.SubjectTexts, consent.SubjectText{SubjectKey: of, Hash: text.Hash,
		Sealed: sealed})
	return err
}

// share notes that several people were shown a text, for when the transaction is done.
func (t *sealingTx) share(text *consent.Text) {
	if t.shared == nil {
		t.shared = map[textKey]bool{}
	}
	t.shared[textKey{text.Organization, string(text.Hash)}] = true
}

// Text implements Reader.
func (o *openedReader) Text(ctx context.Context, organization consent.ID, hash []byte) (string, error) {
	texts, err := o.Texts(ctx, organization, [][]byte{hash})
	if err != nil {
		return "", err
	}
	return texts[0], nil
}

// Texts implements Reader. One that cannot be decrypted is as one that is not there.
func (o *openedReader) Texts(ctx context.Context, organization consent.ID, hashes [][]byte) ([]string, error) {
	texts, err := o.Reader.Texts(ctx, organization, hashes)
	if err != nil {
		return nil, err
	}
	var places []int
	var left [][]byte
	for i := range texts {
		if texts[i] == "" {
			places, left = append(places, i), append(left, hashes[i])
		}
	}
	if len(left) == 0 {
		return texts, nil
	}
	found, err := o.Reader.SubjectTexts(ctx, organization, left)
	if err != nil {
		return nil, err
	}
	opener := o.opener(ctx)
	for i := range found {
		if found[i].Subject != consent.NoID {
			opener.want(found[i].SubjectKey)
		}
	}
	if err := opener.load(); err != nil {
		return nil, err
	}
	for i, place := range places {
		text, err := opener.open(found[i].SubjectKey, sealing.LabelText, found[i].Hash, found[i].Sealed)
		if err == nil {
			texts[place] = string(text)
		}
	}
	return texts, nil
}
