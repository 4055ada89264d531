package service_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webhook"
	"github.com/consentd/consentd/internal/webtest"
)

func (h *harness) hook(t tester, a consent.Actor) *consent.ToldSecret {
	t.Helper()
	made, err := h.svc.CreateWebhook(context.Background(), a, consent.NewWebhook{URL: "https://hook.example/in",
		Events: []string{"*"}}, consent.Idempotency{})
	if err != nil {
		t.Fatalf("create a webhook: %v", err)
	}
	return made
}

// kept reads a webhook with its secrets, as who sends messages does.
func (h *harness) kept(t tester, key consent.WebhookKey) (w *consent.Webhook) {
	t.Helper()
	h.view(t, func(r service.Reader) (err error) {
		w, err = r.Webhook(context.Background(), key)
		return err
	})
	return w
}

// TestWebhookLife: a webhook is told of what comes behind its making; only who made it, and who sends, gets to know its
// secret, which lies in no file; a change is shown and counted; and in the end nothing is left.
func TestWebhookLife(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	woken := 0
	h.svc.WakeFeedsForTest(func() { woken++ })
	a, other := h.organization(t), h.organization(t)
	h.record(t, a, item(user("ada")))
	made := h.hook(t, a)
	var head consent.Head
	h.view(t, func(r service.Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{a.Organization})
		head = heads[a.Organization]
		return err
	})
	if made.Sequence != head.Sequence || made.LastID != head.LastID || head.Sequence == 0 || woken != 1 {
		t.Errorf("it begins at %d, the ledger ends at %d; woken %d times", made.Sequence, head.Sequence, woken)
	}
	kept := h.kept(t, made.WebhookKey)
	if secret, err := webhook.ParseSecret(made.Text); err != nil || !bytes.Equal(secret.Bytes(), kept.Secret) {
		t.Errorf("%s was told, %x is kept: %v", made.Text, kept.Secret, err)
	}
	var stored *consent.Webhook
	if err := h.store.View(ctx, func(r service.Reader) (err error) {
		stored, err = r.Webhook(ctx, made.WebhookKey)
		return err
	}); err != nil || bytes.Contains(stored.Secret, kept.Secret) || len(stored.Secret) != len(kept.Secret)+29 {
		t.Errorf("stored as %x, %v", stored.Secret, err)
	}
	shown, err := h.svc.Webhook(ctx, a, made.WebhookKey.Webhook)
	if err != nil || shown.Secret != nil || shown.URL != "https://hook.example/in" {
		t.Errorf("shown as %+v, %v", shown, err)
	}
	h.clock.add(time.Millisecond) // ids are in the order of milliseconds
	second := h.hook(t, a)
	list, err := h.svc.Webhooks(ctx, a, consent.NoID, 10)
	if err != nil || len(list) != 2 || list[0].Webhook != made.WebhookKey.Webhook || list[0].Secret != nil {
		t.Errorf("listed as %+v, %v", list, err)
	}
	if rest, err := h.svc.Webhooks(ctx, a, list[0].Webhook, 10); err != nil || len(rest) != 1 ||
		rest[0].Webhook != second.WebhookKey.Webhook {
		t.Errorf("behind the first: %+v, %v", rest, err)
	}
	if first, err := h.svc.Webhooks(ctx, a, consent.NoID, 1); err != nil || len(first) != 1 {
		t.Errorf("one of them: %+v, %v", first, err)
	}
	if none, err := h.svc.Webhooks(ctx, other, consent.NoID, 10); err != nil || len(none) > 0 {
		t.Errorf("another organization's: %+v, %v", none, err)
	}
	h.clock.add(time.Hour)
	text := "for the shop"
	changed, err := h.svc.UpdateWebhook(ctx, a, consent.UpdateWebhook{Webhook: list[0].Webhook,
		Change: consent.WebhookChange{Description: &text}, If: consent.IfMatch{Given: true, Versions: []int{1}}})
	if err != nil || changed.Description != text || changed.Revision != 2 {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	if now := h.kept(t, made.WebhookKey); !bytes.Equal(now.Secret, kept.Secret) || now.Description != text ||
		now.Sequence != made.Sequence {
		t.Errorf("kept as %+v", now)
	}
	err = h.svc.RemoveWebhook(ctx, a, consent.RemoveWebhook{Webhook: list[0].Webhook,
		If: consent.IfMatch{Given: true, Versions: []int{1}}})
	isKind(t, "removed as it was before", err, consent.PreconditionFailed, "If-Match")
	if err := h.svc.RemoveWebhook(ctx, a, consent.RemoveWebhook{Webhook: list[0].Webhook}); err != nil {
		t.Error(err)
	}
	if h.kept(t, made.WebhookKey) != nil || h.kept(t, second.WebhookKey) == nil {
		t.Error("the wrong one went")
	}
}

// TestWebhookRotate: messages are signed by both secrets for 24 hours.
func TestWebhookRotate(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a := h.organization(t)
	made := h.hook(t, a)
	first := h.kept(t, made.WebhookKey).Secret
	told, err := h.svc.RotateWebhook(ctx, a, made.WebhookKey.Webhook, consent.Idempotency{})
	if err != nil || told.Text == made.Text || told.Revision != 2 {
		t.Fatalf("%+v, %v", told, err)
	}
	now := h.kept(t, made.WebhookKey)
	if bytes.Equal(now.Secret, first) || !bytes.Equal(now.Previous,
		first) || !now.PreviousUntil.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("kept as %+v", now)
	}
	if n := len(now.Secrets(noon.Add(24*time.Hour - 1))); n != 2 {
		t.Errorf("signed by %d secrets", n)
	}
}

// TestWebhookSecretsOutliveKeys: after the key file's key was rotated, and the older one is gone, a secret is what it
// was.
func TestWebhookSecretsOutliveKeys(t *testing.T) {
	s, ctx := newSealed(t, webtest.Engines()[0].Open(t), 1), context.Background()
	var a consent.Actor
	for of := range s.secrets {
		a = consent.Actor{Organization: of.Organization, Root: true}
	}
	open := func() *service.Service {
		return service.New(service.Options{Store: s.store, Keys: s.file().Ring(rand.Reader)})
	}
	svc, first := open(), s.file().Newest().ID
	made, err := svc.CreateWebhook(ctx, a, consent.NewWebhook{URL: "https://a.example", Events: []string{"*"}},
		consent.Idempotency{})
	svc.Close()
	if err != nil {
		t.Fatal(err)
	}
	s.rotate()
	if _, err := s.rewrapper(s.reload).Pass(ctx, atNoPage); err != nil {
		t.Fatal(err)
	}
	if _, err := sealing.Retire(s.path, first); err != nil {
		t.Fatal(err)
	}
	svc = open()
	defer svc.Close()
	err = svc.ViewForTest(ctx, func(r service.Reader) error {
		w, err := r.Webhook(ctx, made.WebhookKey)
		if err == nil && !bytes.Equal(w.Secret, made.Secret) {
			t.Errorf("the secret is %x, and was %x", w.Secret, made.Secret)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWebhookSecretsAreBound: a secret that was moved to another webhook is none. That one can get another.
func TestWebhookSecretsAreBound(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a := h.organization(t)
	one, two := h.hook(t, a), h.hook(t, a)
	h.damage(t, "UPDATE webhooks SET secret_sealed = (SELECT secret_sealed FROM webhooks WHERE webhook_id = ?) "+
		"WHERE webhook_id = ?", two.WebhookKey.Webhook[:], one.WebhookKey.Webhook[:])
	if w := h.kept(t, one.WebhookKey); w == nil || len(w.Secret) != 0 {
		t.Errorf("another webhook's secret is read as %+v", w)
	}
	id, text := one.WebhookKey.Webhook, "text"
	_, err := h.svc.UpdateWebhook(ctx, a, consent.UpdateWebhook{Webhook: id, Change: consent.WebhookChange{
		Description: &text}})
	isKind(t, "a change of one whose secret cannot be read", err, consent.Conflict, "")
	if _, err := h.svc.Webhook(ctx, a, id); err != nil {
		t.Error(err)
	}
	told, err := h.svc.RotateWebhook(ctx, a, id, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	w := h.kept(t, one.WebhookKey)
	if secret, err := webhook.ParseSecret(told.Text); err != nil || !bytes.Equal(secret.Bytes(),
		w.Secret) || w.Previous != nil {
		t.Errorf("after a rotation %+v, %v", w, err)
	}
}

// TestWebhookWithoutKeyFile: who has no key file makes no webhook, and sees those that there are.
func TestWebhookWithoutKeyFile(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a := h.organization(t)
	made := h.hook(t, a)
	blind := service.New(service.Options{Store: h.store, Clock: h.clock.now})
	defer blind.Close()
	if w, err := blind.Webhook(ctx, a, made.WebhookKey.Webhook); err != nil || w.URL != made.URL {
		t.Errorf("%+v, %v", w, err)
	}
	if list, err := blind.Webhooks(ctx, a, consent.NoID, 10); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := blind.CreateWebhook(ctx, a, consent.NewWebhook{URL: made.URL, Events: made.Events},
		consent.Idempotency{}); err == nil {
		t.Error("a secret was kept without a key")
	}
	if err := blind.RemoveWebhook(ctx, a, consent.RemoveWebhook{Webhook: made.WebhookKey.Webhook}); err != nil {
		t.Error(err)
	}
}

// TestWebhookRefusals: who lacks the scope, what is not there, what is another's, what cannot be, and one too many.
func TestWebhookRefusals(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a, other := h.organization(t), h.organization(t)
	made := h.hook(t, a)
	id, none := made.WebhookKey.Webhook, consent.Idempotency{}
	weak, _ := h.key(t, a, consent.ConsentsWrite, consent.OrganizationsWrite)
	plain, local, text := "http://hook.example", "https://[::1]/", "x"
	calls := map[string]func(a consent.Actor, id consent.ID) error{
		"get": func(a consent.Actor, id consent.ID) error { _, err := h.svc.Webhook(ctx, a, id); return err },
		"list": func(a consent.Actor, _ consent.ID) error {
			_, err := h.svc.Webhooks(ctx, a, consent.NoID, 1)
			return err
		},
		"create": func(a consent.Actor, _ consent.ID) error {
			_, err := h.svc.CreateWebhook(ctx, a, consent.NewWebhook{URL: "https://a.example", Events: []string{"*"}}, none)
			return err
		},
		"update": func(a consent.Actor, id consent.ID) error {
			_, err := h.svc.UpdateWebhook(ctx, a, consent.UpdateWebhook{Webhook: id, Change: consent.WebhookChange{
				Description: &text}})
			return err
		},
		"rotate": func(a consent.Actor, id consent.ID) error {
			_, err := h.svc.RotateWebhook(ctx, a, id, none)
			return err
		},
		"ping": func(a consent.Actor, id consent.ID) error { _, err := h.svc.PingWebhook(ctx, a, id, none); return err },
		"deliveries": func(a consent.Actor, id consent.ID) error {
			_, err := h.svc.Deliveries(ctx, a, id, consent.NoID, 1)
			return err
		},
		"redeliver": func(a consent.Actor, id consent.ID) error {
			_, err := h.svc.Redeliver(ctx, a, id, id, none)
			return err
		},
		"remove": func(a consent.Actor, id consent.ID) error {
			return h.svc.RemoveWebhook(ctx, a, consent.RemoveWebhook{Webhook: id})
		},
	}
	for name, call := range calls {
		isKind(t, name+" without the scope", call(weak, id), consent.Forbidden, "")
		if name != "list" && name != "create" {
			isKind(t, name+" of another's", call(other, id), consent.NotFound, "")
		}
	}
	isKind(t, "redeliver what was not", calls["redeliver"](a, id), consent.NotFound, "")
	for url, field := range map[string]string{plain: "url", local: "url"} {
		_, err := h.svc.CreateWebhook(ctx, a, consent.NewWebhook{URL: url, Events: []string{"*"}}, none)
		isKind(t, "create with "+url, err, consent.Invalid, field)
		_, err = h.svc.UpdateWebhook(ctx, a, consent.UpdateWebhook{Webhook: id, Change: consent.WebhookChange{URL: &url}})
		isKind(t, "change to "+url, err, consent.Invalid, field)
	}
	for range consent.MaxWebhooks - 1 {
		h.hook(t, a)
	}
	isKind(t, "one too many", calls["create"](a, id), consent.Conflict, "")
	if err := calls["remove"](a, id); err != nil {
		t.Error(err)
	}
	if err := calls["create"](a, id); err != nil {
		t.Errorf("in the place of one that went: %v", err)
	}
}

// TestPingAndRedeliver: both are due at once; what is delivered again keeps its id; one that is disabled is told
// nothing until it is active again.
func TestPingAndRedeliver(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	woken := 0
	h.svc.WakeFeedsForTest(func() { woken++ })
	a := h.organization(t)
	made := h.hook(t, a)
	id, none := made.WebhookKey.Webhook, consent.Idempotency{}
	due := func() (list []consent.Delivery) {
		h.view(t, func(r service.Reader) (err error) {
			list, err = r.DueDeliveries(ctx, made.WebhookKey, h.clock.now(), 10)
			return err
		})
		return list
	}
	first, err := h.svc.PingWebhook(ctx, a, id, none)
	if err != nil || first.Type != consent.WebhookPing || first.State != consent.DeliveryPending {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := h.svc.PingWebhook(ctx, a, id, none)
	if err != nil || second.ID == first.ID || len(due()) != 2 || woken != 3 {
		t.Errorf("the second is %+v, %d are due, woken %d times, %v", second, len(due()), woken, err)
	}
	settled := *first
	settled.State, settled.Attempts, settled.NextTryAt, settled.Status = consent.DeliveryParked, 10, time.Time{}, 500
	if err := h.store.Update(ctx, a.Organization, func(tx service.Tx) error {
		return tx.Append(ctx, &consent.Changes{Deliveries: []consent.Delivery{settled}})
	}); err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Hour)
	again, err := h.svc.Redeliver(ctx, a, id, first.ID, none)
	if err != nil || again.ID != first.ID || again.Attempts != 0 || again.Status != 500 || len(due()) != 2 ||
		!again.NextTryAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("again as %+v, %d are due, %v", again, len(due()), err)
	}
	list, err := h.svc.Deliveries(ctx, a, id, consent.NoID, 10)
	if err != nil || len(list) != 2 {
		t.Errorf("%d deliveries, %v", len(list), err)
	}
	no, yes := false, true
	off := consent.UpdateWebhook{Webhook: id, Change: consent.WebhookChange{Active: &no}}
	if _, err := h.svc.UpdateWebhook(ctx, a, off); err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.PingWebhook(ctx, a, id, none)
	isKind(t, "ping of a disabled one", err, consent.Conflict, "")
	_, err = h.svc.Redeliver(ctx, a, id, first.ID, none)
	isKind(t, "redeliver to a disabled one", err, consent.Conflict, "")
	before := woken
	off.Change.Active = &yes
	if w, err := h.svc.UpdateWebhook(ctx, a, off); err != nil || !w.Active() || woken != before+1 {
		t.Errorf("active again: %+v, %v, woken %d times", w, err, woken-before)
	}
}

// TestWebhookOnce: a retry with the same key is answered from what was kept, and makes nothing.
func TestWebhookOnce(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a, _ := h.key(t, h.organization(t))
	idem := consent.Idempotency{Key: "once", Fingerprint: [32]byte{1}, Render: func(result any) ([]byte, error) {
		return []byte(result.(*consent.ToldSecret).Text), nil
	}}
	in := consent.NewWebhook{URL: "https://hook.example/in", Events: []string{"*"}}
	made, err := h.svc.CreateWebhook(ctx, a, in, idem)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.CreateWebhook(ctx, a, in, idem)
	var replayed *consent.Replayed
	if !errors.As(err, &replayed) || string(replayed.Answer) != made.Text {
		t.Errorf("%v", err)
	}
	if list, err := h.svc.Webhooks(ctx, a, consent.NoID, 10); err != nil || len(list) != 1 {
		t.Errorf("%d webhooks, %v", len(list), err)
	}
}

// TestOldDeliveriesGo: 30 days after they were made, but for what waits.
func TestOldDeliveriesGo(t *testing.T) {
	h, ctx := newHarness(t), context.Background()
	a := h.organization(t)
	made := h.hook(t, a)
	if _, err := h.svc.PingWebhook(ctx, a, made.WebhookKey.Webhook, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	var old []consent.Delivery
	for i := range 3 {
		old = append(old, consent.Delivery{WebhookKey: made.WebhookKey, ID: consent.ID{byte(i + 1)},
			State:     consent.DeliveryDelivered,
			CreatedAt: noon.Add(time.Duration(i) * time.Hour)})
	}
	if err := h.store.Update(ctx, a.Organization, func(tx service.Tx) error {
		return tx.Append(ctx, &consent.Changes{Deliveries: old})
	}); err != nil {
		t.Fatal(err)
	}
	for days, left := range []int{30: 4, 31: 1} {
		if left == 0 {
			continue
		}
		h.clock.set(noon.AddDate(0, 0, days))
		if err := h.svc.DropOldDeliveries(ctx); err != nil {
			t.Fatal(err)
		}
		if list, err := h.svc.Deliveries(ctx, a, made.WebhookKey.Webhook, consent.NoID, 10); err != nil || len(list) != left {
			t.Errorf("after %d days %d are left, want %d: %v", days, len(list), left, err)
		}
	}
}

// TestDeliveryID: the same for the same, another for another, a UUID of version 8, and in the order of the instants.
func TestDeliveryID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) consent.ID {
			return consent.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
		}
		to, entry, other := draw("webhook"), draw("entry"), draw("other")
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "at"))
		id := service.DeliveryID(to, entry, consent.ConsentRecorded, at)
		if id != service.DeliveryID(to, entry, consent.ConsentRecorded, at) {
			t.Fatal("made again it is another")
		}
		if id.Version() != 8 || id.Variant().String() != "RFC4122" {
			t.Fatalf("%s: version %d, variant %s", id, id.Version(), id.Variant())
		}
		later := service.DeliveryID(to, entry, consent.ConsentRecorded, at.Add(time.Millisecond))
		if strings.Compare(id.String(), later.String()) >= 0 {
			t.Fatalf("%s is not before %s", id, later)
		}
		for what, others := range map[string]consent.ID{
			"type":    service.DeliveryID(to, entry, consent.ConsentWithdrawn, at),
			"webhook": service.DeliveryID(other, entry, consent.ConsentRecorded, at),
			"entry":   service.DeliveryID(to, other, consent.ConsentRecorded, at),
		} {
			if others == id && !(what == "webhook" && other == to) && !(what == "entry" && other == entry) {
				t.Fatalf("another %s has the same id", what)
			}
		}
	})
	got := service.DeliveryID(consent.ID{1}, consent.ID{2}, consent.ConsentRecorded, noon)
	if want := "019ca945-0a00-8"; !strings.HasPrefix(fmt.Sprint(got), want) {
		t.Errorf("%s, want %s…", got, want)
	}
}

// TestRemovedWebhookLeavesNothing: what is kept of a removed webhook's deliveries goes by and by, and no other's.
func TestRemovedWebhookLeavesNothing(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	gone, stays := h.hook(t, a), h.hook(t, a)
	ctx := t.Context()
	const many = 12_000
	for _, key := range []consent.WebhookKey{gone.WebhookKey, stays.WebhookKey} {
		all := make([]consent.Delivery, many)
		for i := range all {
			all[i] = consent.Delivery{WebhookKey: key, ID: consent.ID{byte(i >> 8), byte(i)}, CreatedAt: noon}
		}
		if err := h.store.Update(ctx, a.Organization, func(tx service.Tx) error {
			return tx.Append(ctx, &consent.Changes{Deliveries: all})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.svc.RemoveWebhook(ctx, a, consent.RemoveWebhook{Webhook: gone.WebhookKey.Webhook}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.svc.Deliveries(ctx, a, gone.WebhookKey.Webhook, consent.NoID, 1); !consent.IsKind(err,
		consent.NotFound) {
		t.Errorf("the deliveries of a removed webhook: %v", err)
	}
	left := func(key consent.WebhookKey) (n int) {
		h.view(t, func(r service.Reader) error {
			all, err := r.Deliveries(ctx, key, consent.NoID, many+1)
			n = len(all)
			return err
		})
		return n
	}
	if n := left(gone.WebhookKey); n != many {
		t.Errorf("%d were removed within the request", many-n)
	}
	h.runsJobs(t, time.Minute, nil)
	awaitLong(t, "they are gone", func() bool { return left(gone.WebhookKey) == 0 })
	if n := left(stays.WebhookKey); n != many {
		t.Errorf("of another webhook %d are left", n)
	}
}
