package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) hooksOf(o consent.ID) (all []consent.Webhook) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		all, err = r.Webhooks(ctx, o)
		return err
	})
	return all
}

func (f *fixture) hook(key consent.WebhookKey) (found *consent.Webhook) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		found, err = r.Webhook(ctx, key)
		return err
	})
	return found
}

func (f *fixture) newHook(o consent.ID) consent.Webhook {
	return consent.Webhook{WebhookKey: consent.WebhookKey{Organization: o, Webhook: f.id()}, URL: "https://hook.example",
		Events: []string{"consent.*", "purpose.version"}, Description: odd[0], Secret: []byte{0, 1, 255},
		CreatedAt: noon, UpdatedAt: noon, Revision: 1, WebhookCursor: consent.WebhookCursor{ExpiredAt: noon}}
}

// testWebhooks: what is kept of a webhook comes back; a change leaves alone how far it has come, and a move the rest;
// deliveries of one that is removed go when they are dropped, and no others do.
func testWebhooks(f *fixture) {
	o, other := f.organization(), f.organization()
	same(f, "at birth", f.hooksOf(o), []consent.Webhook{})
	if found := f.hook(consent.WebhookKey{Organization: o, Webhook: f.id()}); found != nil {
		f.Errorf("found %+v", found)
	}
	a, b := f.newHook(o), f.newHook(o)
	b.Previous, b.PreviousUntil, b.Disabled = []byte{7, 0}, noon.Add(time.Microsecond), consent.DisabledFailing
	b.WebhookCursor = consent.WebhookCursor{Sequence: 1 << 40, LastID: f.id(), ExpiredAt: noon, ExpiredEvent: f.id(),
		NextExpiry: noon.Add(time.Hour), FailingSince: noon.Add(-time.Hour)}
	foreign := a
	foreign.Organization = other
	f.append(consent.Changes{Webhooks: []consent.Webhook{b, a}})
	f.append(consent.Changes{Webhooks: []consent.Webhook{foreign}})
	same(f, "all", f.hooksOf(o), []consent.Webhook{a, b})
	same(f, "another's", f.hooksOf(other), []consent.Webhook{foreign})
	same(f, "one", f.hook(b.WebhookKey), &b)

	changed := b
	changed.URL, changed.Events, changed.Description, changed.Disabled = "https://new.example", []string{"*"}, odd[3], ""
	changed.Secret, changed.Previous, changed.PreviousUntil = []byte("new"), nil, time.Time{}
	changed.UpdatedAt, changed.Revision = noon.Add(time.Minute), 2
	written := changed
	written.WebhookCursor = consent.WebhookCursor{ExpiredAt: noon}
	f.append(consent.Changes{Webhooks: []consent.Webhook{written}})
	same(f, "changed", f.hook(b.WebhookKey), &changed)

	moved := consent.WebhookCursor{Sequence: 3, LastID: f.id(), ExpiredAt: noon.Add(time.Second)}
	nobody := consent.WebhookKey{Organization: o, Webhook: f.id()}
	f.append(consent.Changes{MovedWebhooks: []consent.MovedWebhook{{WebhookKey: b.WebhookKey, WebhookCursor: moved},
		{WebhookKey: nobody, WebhookCursor: moved}}})
	changed.WebhookCursor = moved
	same(f, "moved", f.hook(b.WebhookKey), &changed)
	same(f, "all", f.hooksOf(o), []consent.Webhook{a, changed})

	changed.Disabled, changed.UpdatedAt, changed.Revision = consent.DisabledGone, noon.Add(time.Hour), 3
	off := consent.Webhook{WebhookKey: b.WebhookKey, Disabled: changed.Disabled, UpdatedAt: changed.UpdatedAt, Revision: 3}
	f.append(consent.Changes{DisabledWebhooks: []consent.Webhook{off}})
	same(f, "disabled", f.hooksOf(o), []consent.Webhook{a, changed})

	gone, stays := f.delivery(a.WebhookKey, 1), f.delivery(b.WebhookKey, 1)
	f.append(consent.Changes{Deliveries: []consent.Delivery{gone, stays}})
	f.append(consent.Changes{RemovedWebhooks: []consent.WebhookKey{a.WebhookKey, nobody}})
	same(f, "after a removal", f.hooksOf(o), []consent.Webhook{changed})
	same(f, "another's after a removal", f.hooksOf(other), []consent.Webhook{foreign})
	same(f, "deliveries of the removed", f.deliveries(a.WebhookKey, consent.NoID), []consent.Delivery{gone})
	f.append(consent.Changes{DropDeliveriesOf: []consent.DeliveriesFrom{{WebhookKey: a.WebhookKey, From: gone.ID}}})
	same(f, "deliveries of the removed when they are dropped", f.deliveries(a.WebhookKey, consent.NoID),
		[]consent.Delivery{})
	same(f, "deliveries of the other", f.deliveries(b.WebhookKey, consent.NoID), []consent.Delivery{stays})
}

// testWebhooksBehind: an active one is found where the ledger went on, an expiry may be due or a delivery is, and by
// nothing of another webhook or organization.
func testWebhooksBehind(f *fixture) {
	var keys []consent.WebhookKey
	hook := func(edit func(w *consent.Webhook)) consent.WebhookKey {
		o := f.organization()
		f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: 5, LastID: f.id()}}})
		w := f.newHook(o)
		w.Sequence = 5
		edit(&w)
		f.append(consent.Changes{Webhooks: []consent.Webhook{w}})
		return w.WebhookKey
	}
	behind := func() (found []consent.WebhookKey) {
		f.view(func(ctx context.Context, r service.Reader) error {
			for after := (consent.WebhookKey{}); ; {
				some, err := r.WebhooksBehind(ctx, noon, after, 2)
				if found = append(found, some...); err != nil || len(some) < 2 {
					return err
				}
				after = some[1]
			}
		})
		return found
	}
	hook(func(*consent.Webhook) {})
	keys = append(keys, hook(func(w *consent.Webhook) { w.Sequence = 4 }),
		hook(func(w *consent.Webhook) { w.NextExpiry = noon }))
	hook(func(w *consent.Webhook) { w.NextExpiry = noon.Add(time.Microsecond) })
	hook(func(w *consent.Webhook) { w.Sequence, w.Disabled, w.NextExpiry = 1, consent.DisabledGone, noon })
	same(f, "behind", behind(), keys)

	quiet := f.organization()
	first, second := f.newHook(quiet), f.newHook(quiet)
	f.append(consent.Changes{Webhooks: []consent.Webhook{first, second}})
	due, later, done := f.delivery(second.WebhookKey, 1), f.delivery(first.WebhookKey, 2), f.delivery(first.WebhookKey, 3)
	due.NextTryAt, later.NextTryAt, done.NextTryAt = noon, noon.Add(time.Microsecond), time.Time{}
	f.append(consent.Changes{Deliveries: []consent.Delivery{due, later, done}})
	same(f, "with a delivery that is due", behind(), append(keys, second.WebhookKey))
	due.NextTryAt = time.Time{}
	f.append(consent.Changes{Deliveries: []consent.Delivery{due}})
	same(f, "after it was done", behind(), keys)
}

func (f *fixture) delivery(of consent.WebhookKey, n byte) consent.Delivery {
	return consent.Delivery{WebhookKey: of, ID: consent.ID{0: n, 15: 1}, Type: consent.ConsentRecorded, Entry: f.id(),
		Sequence: 1 << 40, CreatedAt: noon, Attempts: 1, NextTryAt: noon, Status: 503, Error: "answered",
		Took: 15_000_001 * time.Microsecond, TriedAt: noon.Add(-time.Minute)}
}

func (f *fixture) deliveries(of consent.WebhookKey, before consent.ID) (all []consent.Delivery) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		all, err = r.Deliveries(ctx, of, before, 2)
		return err
	})
	return all
}

// testDeliveries: the newest are listed first, page by page; those that are due, by how long they wait; and a change of
// one leaves alone what it is about.
func testDeliveries(f *fixture) {
	o, other := f.organization(), f.organization()
	of := consent.WebhookKey{Organization: o, Webhook: f.id()}
	beside := consent.WebhookKey{Organization: o, Webhook: f.id()}
	foreign := consent.WebhookKey{Organization: other, Webhook: of.Webhook}
	a, b, c := f.delivery(of, 1), f.delivery(of, 2), f.delivery(of, 0xff)
	a.NextTryAt, b.NextTryAt, c.NextTryAt = noon.Add(time.Microsecond), time.Time{}, noon.Add(-time.Hour)
	b.State, b.Type, b.Entry, b.TriedAt, b.Error, b.Sequence = consent.DeliveryDropped, consent.WebhookPing, consent.NoID,
		time.Time{}, "", 0
	f.append(consent.Changes{Deliveries: []consent.Delivery{b, c, a, f.delivery(beside, 9)}})
	f.append(consent.Changes{Deliveries: []consent.Delivery{f.delivery(foreign, 1)}})
	same(f, "the newest", f.deliveries(of, consent.NoID), []consent.Delivery{c, b})
	same(f, "those before", f.deliveries(of, b.ID), []consent.Delivery{a})
	same(f, "none before", f.deliveries(of, a.ID), []consent.Delivery{})
	due := func(at time.Time, limit int) (all []consent.Delivery) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			all, err = r.DueDeliveries(ctx, of, at, limit)
			return err
		})
		return all
	}
	same(f, "due at noon", due(noon, 10), []consent.Delivery{c})
	same(f, "due later", due(noon.Add(time.Hour), 10), []consent.Delivery{c, a})
	same(f, "the longest due", due(noon.Add(time.Hour), 1), []consent.Delivery{c})

	tried := c
	tried.Attempts, tried.NextTryAt, tried.State, tried.Status = 2, time.Time{}, consent.DeliveryParked, 0
	tried.Error, tried.Took, tried.TriedAt = "timeout", 0, noon
	written := tried
	written.CreatedAt, written.Type, written.Sequence = noon.Add(time.Hour), consent.SubjectErased, 7
	f.append(consent.Changes{Deliveries: []consent.Delivery{written}})
	one := func(of consent.WebhookKey, id consent.ID) (found *consent.Delivery) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			found, err = r.Delivery(ctx, of, id)
			return err
		})
		return found
	}
	same(f, "tried", one(of, c.ID), &tried)
	for _, key := range []consent.WebhookKey{beside, foreign} {
		if found := one(key, c.ID); found != nil {
			f.Errorf("another webhook has it too: %+v", found)
		}
	}
}

// testOldDeliveries: those that wait for nothing go when they are old, the oldest first, and no others.
func testOldDeliveries(f *fixture) {
	o, other := f.organization(), f.organization()
	of, foreign := consent.WebhookKey{Organization: o, Webhook: f.id()},
		consent.WebhookKey{Organization: other, Webhook: f.id()}
	for _, key := range []consent.WebhookKey{of, foreign} {
		w := f.newHook(key.Organization)
		w.WebhookKey = key
		f.append(consent.Changes{Webhooks: []consent.Webhook{w}})
	}
	var made []consent.Delivery
	for i := range 4 {
		d := f.delivery(of, byte(i+1))
		d.CreatedAt, d.NextTryAt = noon.Add(time.Duration(i)*time.Microsecond), time.Time{}
		made = append(made, d)
	}
	made[0].NextTryAt = noon // it waits still
	late := f.delivery(foreign, 1)
	late.CreatedAt, late.NextTryAt = noon.Add(time.Hour), time.Time{}
	f.append(consent.Changes{Deliveries: made})
	f.append(consent.Changes{Deliveries: []consent.Delivery{late}})
	with := func(at time.Time) (found []consent.ID) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			found, err = r.WithOldDeliveries(ctx, at)
			return err
		})
		slices.SortFunc(found, func(x, y consent.ID) int { return slices.Compare(x[:], y[:]) })
		return found
	}
	same(f, "before any that waits for nothing", with(made[1].CreatedAt), []consent.ID{})
	same(f, "of one", with(made[1].CreatedAt.Add(time.Microsecond)), []consent.ID{o})
	same(f, "of both", with(noon.AddDate(1, 0, 0)), []consent.ID{o, other})
	drop := func(limit int) {
		f.append(consent.Changes{DropDeliveries: []consent.OldDeliveries{{Organization: o, Before: made[3].CreatedAt,
			Limit: limit}}})
	}
	drop(1)
	same(f, "after one went", f.deliveries(of, made[3].ID), []consent.Delivery{made[2], made[0]})
	drop(10)
	same(f, "after all old ones went", f.deliveries(of, consent.NoID), []consent.Delivery{made[3], made[0]})
	same(f, "of the other", f.deliveries(foreign, consent.NoID), []consent.Delivery{late})
}

// hooks adds some webhooks of an organization and deliveries to them.
func (f *Data) hooks(o consent.ID, c *consent.Changes) {
	for range 3 {
		secret := f.hash()
		w := consent.Webhook{WebhookKey: consent.WebhookKey{Organization: o, Webhook: f.id()}, URL: f.odd(),
			Events: []string{"*"}, Description: f.odd(), Secret: secret[:], PreviousUntil: f.some(), CreatedAt: f.at(),
			UpdatedAt: f.at(), Revision: 1 + f.random.IntN(9), WebhookCursor: consent.WebhookCursor{
				Sequence: int64(f.random.Uint32()), ExpiredAt: f.at(), NextExpiry: f.some(), FailingSince: f.some()}}
		if f.random.IntN(2) == 0 {
			w.Previous, w.LastID, w.ExpiredEvent, w.Disabled = secret[:], f.id(), f.id(), consent.DisabledGone
		}
		f.Webhooks = append(f.Webhooks, w.WebhookKey)
		c.Webhooks = append(c.Webhooks, w)
		for range 3 {
			d := consent.Delivery{WebhookKey: w.WebhookKey, ID: f.id(), Type: consent.ConsentExpired, CreatedAt: f.at(),
				Sequence: int64(f.random.Uint32()), Attempts: f.random.IntN(10), NextTryAt: f.some(),
				State: consent.DeliveryState(f.random.IntN(4)), Status: f.random.IntN(600), Error: f.odd(),
				Took: time.Duration(f.random.IntN(1e6)) * time.Microsecond, TriedAt: f.some()}
			if f.random.IntN(2) == 0 {
				d.Entry = f.id()
			}
			c.Deliveries = append(c.Deliveries, d)
		}
	}
}

// testUntold: what was given up is found, in order, and counted with the webhooks of all.
func testUntold(f *fixture) {
	count := func() (c consent.WebhookCount) {
		f.Helper()
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			c, err = r.WebhookCounts(ctx)
			return err
		})
		return c
	}
	same(f, "counts of nothing", count(), consent.WebhookCount{})
	o, other := f.organization(), f.organization()
	f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: 9}, {Organization: other, Sequence: 5}}})
	var keys []consent.WebhookKey
	for i, of := range []consent.ID{o, o, o, other} {
		key := consent.WebhookKey{Organization: of, Webhook: f.id()}
		keys = append(keys, key)
		w := consent.Webhook{WebhookKey: key, URL: "https://a.example", Secret: []byte{1}, CreatedAt: noon, UpdatedAt: noon,
			WebhookCursor: consent.WebhookCursor{Sequence: int64(i), ExpiredAt: noon}}
		if i == 0 {
			w.Disabled = consent.DisabledFailing
		}
		f.append(consent.Changes{Webhooks: []consent.Webhook{w}})
	}
	var parked []consent.Delivery
	for i, key := range keys {
		for n := range byte(3) {
			d := f.delivery(key, 3*byte(i)+n+1)
			if n > 0 {
				d.State, d.NextTryAt = consent.DeliveryParked, time.Time{}
				parked = append(parked, d)
			}
			f.append(consent.Changes{Deliveries: []consent.Delivery{d}})
		}
	}
	same(f, "counts", count(), consent.WebhookCount{Active: 3, Disabled: 1, Parked: 8, Behind: 8})
	list := func(after consent.Delivery) (page []consent.Delivery) {
		f.Helper()
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			page, err = r.ParkedDeliveries(ctx, o, after.ID, 4)
			return err
		})
		return page
	}
	same(f, "the first page", list(consent.Delivery{}), parked[:4])
	same(f, "the second page", list(parked[3]), parked[4:6])
	again := parked[0]
	again.Again(noon)
	parked[1].Drop()
	f.append(consent.Changes{Deliveries: []consent.Delivery{again, parked[1]}})
	same(f, "after two are not parked any more", list(consent.Delivery{}), parked[2:6])
}
