package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

const (
	// exportsOfOne is how many exports of an organization go on at a time; one more waits as long as exportWait.
	exportsOfOne = 2
	exportWait   = time.Second
	// A part of an export has so many rows at most, and fewer where they are large: two parts of each export are in
	// memory, and a part is read without a pause.
	mostInPart, leastInPart = 1000, 50
	largePart               = 1 << 20 // bytes
)

// ExportEvents calls take for all events that a filter matches, part by part in order of id, up to the last one that
// was on record when it began. What take gets is overwritten when it returns. Between parts nothing of the store is
// held, however long take takes. Limit, Offset and ByOccurredAt of the filter do not count. Errors: those of Events;
// take's.
func (s *Service) ExportEvents(ctx context.Context, a consent.Actor, f consent.EventFilter,
	take func(*consent.ExportedEvents) error) error {
	if err := a.Require(consent.ConsentsRead); err != nil {
		return err
	}
	done, err := s.beginExport(ctx, a.Organization)
	if err != nil {
		return err
	}
	defer done()
	ctx, end := s.listing(ctx, a.Organization)
	defer end()
	var q consent.EventQuery
	var span consent.EventSpan
	err = s.exportPart(ctx, func(ctx context.Context, r Reader) error {
		d, err := catalogOf(ctx, r, a.Organization)
		if err != nil {
			return err
		}
		if q, err = eventQueryOf(ctx, r, d, f); err != nil {
			return err
		}
		heads, err := r.Heads(ctx, []consent.ID{a.Organization})
		span = q.Within(consent.WholeLedger(heads[a.Organization].LastID, q.Ascending))
		return err
	})
	if err != nil {
		return err
	}
	limit, texts := leastInPart, exportedTexts{}
	return inParts(ctx, func(ctx context.Context, part *consent.ExportedEvents) (more bool, err error) {
		var last consent.ID
		size := 0
		err = s.exportPart(ctx, func(ctx context.Context, r Reader) (err error) { // it may run again
			if last, err = r.ExportEvents(ctx, &q, span, limit, part); err != nil {
				return err
			}
			size, err = texts.add(ctx, r, a.Organization, part)
			if n := len(part.Rows); part.Cut {
				last = part.Rows[n-1].ID
			}
			return err
		})
		span.After = last
		limit = nextLimit(limit, size+len(part.Blobs))
		return span.After != span.To, err
	}, take)
}

// nextLimit tells how many rows the next part may have, after one with a limit that took so many bytes.
func nextLimit(limit, size int) int {
	switch {
	case size > largePart:
		return max(limit/2, leastInPart)
	case size < largePart/2:
		return min(limit*2, mostInPart)
	}
	return limit
}

// exportedTexts are the texts of an export that were read lately, by their names: most events share a few.
type exportedTexts struct {
	known map[string]string
	size  int // bytes
}

const (
	keptTexts   = 1 << 20 // bytes of texts that are kept for the next part
	textsOfPart = 4 << 20 // bytes of texts from which on a part ends
	textsAtOnce = 32
)

// add looks up what people were told, and gives how much of it is of this part alone. Where it is too much for one
// part, it cuts the part.
func (t *exportedTexts) add(ctx context.Context, r Reader, organization consent.ID,
	part *consent.ExportedEvents) (size int, err error) {
	if t.known == nil || t.size > keptTexts {
		t.known, t.size = map[string]string{}, 0
	}
	before := t.size
	for from := 0; from < len(part.Rows); {
		if t.size-before > textsOfPart {
			part.Rows, part.Cut = part.Rows[:from], true
			break
		}
		next, err := t.addSome(ctx, r, organization, part.Rows[from:])
		if err != nil {
			return 0, err
		}
		from += next
	}
	return t.size - before, nil
}

// addSome looks up the texts of some rows, textsAtOnce that are not known yet at most, and gives how many rows it were.
func (t *exportedTexts) addSome(ctx context.Context, r Reader, organization consent.ID,
	rows []consent.ExportedEvent) (n int, err error) {
	var names []string
	var hashes [][]byte
	for ; n < len(rows) && len(names) < textsAtOnce; n++ {
		name := rows[n].TextName()
		if _, known := t.known[string(name)]; name == nil || known || slices.Contains(names, string(name)) {
			continue
		}
		hash, err := consent.TextHash(string(name))
		if err != nil {
			return 0, err
		}
		names, hashes = append(names, string(name)), append(hashes, hash)
	}
	if len(names) > 0 {
		texts, err := r.Texts(ctx, organization, hashes)
		if err != nil {
			return 0, err
		}
		for i, name := range names {
			t.known[name] = texts[i]
			t.size += len(name) + len(texts[i])
		}
	}
	for i := range rows[:n] {
		if name := rows[i].TextName(); name != nil {
			rows[i].Text = t.known[string(name)]
		}
	}
	return n, nil
}

// beginExport waits a little for a place among the exports of an organization.
func (s *Service) beginExport(ctx context.Context, organization consent.ID) (done func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, exportWait)
	defer cancel()
	if done, err = s.exports.Acquire(waiting, organization); err != nil {
		return nil, &consent.Error{Kind: consent.Unavailable, Err: err,
			Msg: "as many exports of this organization as may go on at a time are being sent; retry"}
	}
	return done, nil
}

// exportPart reads a part of an export, when it is its turn among all lists.
func (s *Service) exportPart(ctx context.Context, read func(context.Context, Reader) error) error {
	done, err := s.searches.Acquire(ctx, consent.NoID)
	if err != nil {
		return classify(ctx, err)
	}
	defer done()
	within, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	return classify(within, s.store.View(within, func(r Reader) error { return read(within, r) }))
}

// inParts has read fill parts, of which there are two, and take use them, one while the other one is filled. more tells
// that another part may follow; read ends with ctx.
func inParts[T any](ctx context.Context, read func(context.Context, *T) (more bool, err error),
	take func(*T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free, filled := make(chan *T, 2), make(chan *T, 2)
	free <- new(T)
	free <- new(T)
	ended := make(chan error, 1)
	go func() {
		defer close(filled)
		for more := true; more; {
			select {
			case <-ctx.Done():
				ended <- classify(ctx, ctx.Err())
				return
			case part := <-free:
				var err error
				if more, err = read(ctx, part); err != nil {
					ended <- err
					return
				}
				filled <- part
			}
		}
		ended <- nil
	}()
	var taking error
	for part := range filled {
		if taking == nil {
			if taking = take(part); taking != nil {
				cancel()
			}
			free <- part
		}
	}
	cancel()
	if err := <-ended; taking == nil {
		return err
	}
	return taking
}
