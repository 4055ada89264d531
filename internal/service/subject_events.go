package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/consentd/consentd/internal/consent"
)

// What a person decided is chained backwards, a chain for each subject and purpose, and wanted forwards in one order.
// To walk all chains for every part would take time by the square of what there is. So they are walked once, and of
// each page of a chain its ends are noted; then the pages are read from the oldest on.

const (
	// mostWaiting is about how many events of all chains wait in memory for their turn. A page has so many that one of
	// each chain fits into that, within bounds.
	mostWaiting             = 1000
	leastInPage, mostInPage = 10, 500
	walkedAtOnce            = 5000 // events in one view, when chains are walked
)

// chainPage is a part of a chain, by its ends.
type chainPage struct{ first, last consent.ID }

// chain is what a subject decided on one purpose.
type chain struct {
	pages []chainPage             // that are not read yet, the oldest last
	rows  []consent.ExportedEvent // of the page read last that are left, the oldest first
}

func (c *chain) empty() bool { return len(c.pages)+len(c.rows) == 0 }

// next is the oldest event that is left.
func (c *chain) next() consent.ID {
	if len(c.rows) > 0 {
		return c.rows[0].ID
	}
	return c.pages[len(c.pages)-1].first
}

func olderChain(a, b *chain) int {
	x, y := a.next(), b.next()
	return bytes.Compare(x[:], y[:])
}

// chains are those that have something left, the one with the oldest event first.
type chains struct {
	organization consent.ID
	inPage       int
	list         []*chain
}

// settle puts chains in order.
func (c *chains) settle() {
	c.list = slices.DeleteFunc(c.list, (*chain).empty)
	slices.SortFunc(c.list, olderChain)
}

// take gives the events that are next, as far as they were read, limit at most.
func (c *chains) take(limit int) (rows []consent.ExportedEvent) {
	for len(rows) < limit && len(c.list) > 0 && len(c.list[0].rows) > 0 {
		first := c.list[0]
		rows = append(rows, first.rows[0])
		first.rows = first.rows[1:]
		if first.empty() {
			c.list = c.list[1:]
			continue
		}
		to, _ := slices.BinarySearchFunc(c.list[1:], first, olderChain)
		copy(c.list, c.list[1:to+1])
		c.list[to] = first
	}
	return rows
}

// read reads the next page of chains of which no row is left, of those first that are next, until enough wait. What it
// reads is to be kept when the view has ended well: it may run again.
func (c *chains) read(ctx context.Context, r Reader) (pages map[*chain][]consent.ExportedEvent, err error) {
	pages = map[*chain][]consent.ExportedEvent{}
	waiting := 0
	for _, of := range c.list {
		if waiting >= mostWaiting {
			break
		}
		if len(of.rows) > 0 {
			waiting += len(of.rows)
			continue
		}
		if pages[of], err = c.readPage(ctx, r, of.pages[len(of.pages)-1].last); err != nil {
			return nil, err
		}
		waiting += len(pages[of])
	}
	return pages, nil
}

// readPage reads a page of a chain, by its last event. It is shorter where retention has dropped some meanwhile.
func (c *chains) readPage(ctx context.Context, r Reader, last consent.ID) ([]consent.ExportedEvent, error) {
	events, err := r.EventsBefore(ctx, c.organization, last, c.inPage)
	if err != nil {
		return nil, err
	}
	rows := make([]consent.ExportedEvent, len(events))
	for i := range events {
		row := exported(&events[i])
		row.Unreadable = events[i].Unreadable
		said, _, _, err := consent.ReadDecision(row.BodyJSON)
		if err != nil {
			return nil, fmt.Errorf("body of event %s: %w", row.ID, err)
		}
		row.OccurredAt, row.ExpiresAt = said.OccurredAt, said.ExpiresAt
		rows[len(rows)-1-i] = row
	}
	return rows, nil
}

// keep takes over pages that were read.
func (c *chains) keep(pages map[*chain][]consent.ExportedEvent) {
	for of, rows := range pages {
		of.rows, of.pages = rows, of.pages[:len(of.pages)-1]
	}
	c.settle()
}

// chainPlace is a place among all chains, as they are walked.
type chainPlace struct {
	chain int        // index of subjectExport.heads
	last  consent.ID // the next event of it
}

// foundPage is a page of a chain that was found.
type foundPage struct {
	chain int
	chainPage
}

// walk finds the pages of all chains.
func (e *subjectExport) walk(ctx context.Context) (*chains, error) {
	c := &chains{organization: e.actor.Organization, list: make([]*chain, len(e.heads))}
	for i := range c.list {
		c.list[i] = &chain{}
	}
	c.inPage = min(max(mostWaiting/max(len(e.heads), 1), leastInPage), mostInPage)
	for at := e.headOf(0); at.chain < len(e.heads); {
		var found []foundPage
		var next chainPlace
		err := e.part(ctx, func(ctx context.Context, r Reader) (err error) {
			found, next, err = e.walkSome(ctx, r, at, c.inPage)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, page := range found {
			c.list[page.chain].pages = append(c.list[page.chain].pages, page.chainPage)
		}
		at = next
	}
	c.settle()
	return c, nil
}

// headOf is where a chain begins; behind the last chain it is none's.
func (e *subjectExport) headOf(chain int) chainPlace {
	if chain < len(e.heads) {
		return chainPlace{chain, e.heads[chain]}
	}
	return chainPlace{chain: chain}
}

// walkSome finds pages from a place on, and gives where to go on.
func (e *subjectExport) walkSome(ctx context.Context, r Reader, at chainPlace, inPage int) (found []foundPage,
	next chainPlace, err error) {
	for walked := 0; at.chain < len(e.heads) && walked < walkedAtOnce; walked++ {
		events, err := r.EventsBefore(ctx, e.actor.Organization, at.last, inPage)
		if err != nil {
			return nil, at, err
		}
		n := len(events)
		if n > 0 {
			found = append(found, foundPage{at.chain, chainPage{first: events[n-1].ID, last: events[0].ID}})
			at.last = events[n-1].Previous
		}
		if n == 0 || at.last == consent.NoID { // or retention has dropped what comes before
			at = e.headOf(at.chain + 1)
		}
		walked += n
	}
	return found, at, nil
}

// events hands over the decisions.
func (e *subjectExport) events(ctx context.Context, to SubjectTaker) error {
	c, err := e.walk(ctx)
	if err != nil {
		return err
	}
	var texts exportedTexts
	for left := []consent.ExportedEvent(nil); len(left)+len(c.list) > 0; {
		if len(left) == 0 {
			if left = c.take(mostInPart); len(left) == 0 {
				if err := e.readPages(ctx, c); err != nil {
					return err
				}
				continue
			}
		}
		var part consent.ExportedEvents
		err := e.part(ctx, func(ctx context.Context, r Reader) error {
			part.Rows = append(part.Rows[:0], left...)
			_, err := texts.add(ctx, r, c.organization, &part)
			return err
		})
		if err != nil {
			return err
		}
		left = left[len(part.Rows):]
		if err := to.Events(&part); err != nil {
			return err
		}
	}
	return nil
}

// readPages reads the pages that are wanted next.
func (e *subjectExport) readPages(ctx context.Context, c *chains) error {
	var pages map[*chain][]consent.ExportedEvent
	err := e.part(ctx, func(ctx context.Context, r Reader) (err error) {
		pages, err = c.read(ctx, r)
		return err
	})
	if err == nil {
		c.keep(pages)
	}
	return err
}
