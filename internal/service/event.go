package service

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
)

// Event gives one event of the actor's organization. What is none, or another organization's, is NotFound.
func (s *Service) Event(ctx context.Context, a consent.Actor, id consent.ID) (view *consent.EventView, err error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r Reader) error {
		e, err := r.Event(ctx, a.Organization, id)
		if err != nil {
			return err
		}
		if e == nil {
			return consent.Errorf(consent.NotFound, "", "event not found")
		}
		d, err := catalogOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		views, err := d.ShowAll([]consent.Event{*e})
		if err != nil {
			return err
		}
		view = &views[0]
		return addTexts(ctx, r, views)
	})
	return view, err
}

// addTexts looks up what people were told, each text once.
func addTexts(ctx context.Context, r Reader, views []consent.EventView) error {
	var hashes [][]byte
	at := map[string]int{} // of a text's name in a body
	for i := range views {
		name := views[i].Body.DisplayedText
		if _, known := at[name]; known || name == "" {
			continue
		}
		hash, err := consent.TextHash(name)
		if err != nil {
			return fmt.Errorf("event %s: %w", views[i].ID, err)
		}
		at[name] = len(hashes)
		hashes = append(hashes, hash)
	}
	if len(hashes) == 0 {
		return nil
	}
	texts, err := r.Texts(ctx, views[0].Organization, hashes)
	for i := range views {
		if n, has := at[views[i].Body.DisplayedText]; has && err == nil {
			views[i].Text = texts[n]
		}
	}
	return err
}
