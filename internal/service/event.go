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

// Bounds of one page of events. Where a filter leaves little of a long ledger, a page ends early.
const (
	windowsOfPage = 40 // how often a bounded number of events is looked at
	pageTexts     = 50 // events whose texts are looked up at once
)

// EventsAfter gives a page of the history in the order of ids: up to Limit events that the filter matches and come
// behind its After. next is behind which id the next page begins; NoID: there is none. A page may have fewer events, or
// none, though there are more: then they are far, or their texts are large. Limit must be 1 or more; Offset and
// ByOccurredAt of the filter do not count. Errors: Unprocessable with the field of the filter.
func (s *Service) EventsAfter(ctx context.Context, a consent.Actor, f consent.EventFilter) (items []consent.EventView,
	next consent.ID, err error) {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return nil, next, err
	}
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	err = s.search(ctx, a.Organization, func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization) // not from memory: an event may be of a purpose made just now
		if err != nil {
			return err
		}
		q, err := eventQueryOf(ctx, r, d, f)
		if err != nil {
			return err
		}
		heads, err := r.Heads(ctx, []consent.ID{a.Organization})
		if err != nil {
			return err
		}
		span := q.Within(consent.WholeLedger(heads[a.Organization].LastID, q.Ascending))
		if f.After != consent.NoID {
			span.After = f.After
		}
		events, after, err := eventsAfter(ctx, r, q, span)
		if err != nil {
			return err
		}
		if items, err = d.ShowAll(events); err != nil {
			return err
		}
		kept, err := addPageTexts(ctx, r, items)
		if next = after; err == nil && kept < len(items) {
			items, next = items[:kept], items[kept-1].ID
		}
		return err
	})
	return items, next, err
}

// eventsAfter reads events until there are enough, or enough was looked at.
func eventsAfter(ctx context.Context, r Reader, q consent.EventQuery, span consent.EventSpan) (events []consent.Event,
	next consent.ID, err error) {
	most := q.Limit
	for range windowsOfPage {
		if span.After == span.To || len(events) == most {
			break
		}
		q.Limit = most - len(events)
		more, last, err := r.EventsAfter(ctx, &q, span)
		if err != nil {
			return nil, next, err
		}
		events, span.After = append(events, more...), last
	}
	if span.After == span.To {
		return events, consent.NoID, nil
	}
	return events, span.After, nil
}

// addPageTexts looks up what people were told, and tells how many of the events have room in a page with their texts.
func addPageTexts(ctx context.Context, r Reader, views []consent.EventView) (kept int, err error) {
	size := 0
	for from := 0; from < len(views); from += pageTexts {
		some := views[from:min(from+pageTexts, len(views))]
		if err := addTexts(ctx, r, some); err != nil {
			return 0, err
		}
		for i := range some {
			if size += len(some[i].Text); size > textsOfPart && from+i > 0 {
				return from + i, nil
			}
		}
	}
	return len(views), nil
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
