package consent

import "time"

// DeliveryState is what became of a delivery. The numbers are stored, so they never change.
type DeliveryState uint8

// What becomes of a delivery.
const (
	DeliveryPending   DeliveryState = iota // it is to be tried
	DeliveryDelivered                      // the receiver has it
	DeliveryParked                         // no try is left; see Delivery.Again
	DeliveryDropped                        // what it was about is gone, or not wanted any more
)

var deliveryStates = [...]string{"pending", "delivered", "parked", "dropped"}

func (s DeliveryState) String() string {
	if int(s) < len(deliveryStates) {
		return deliveryStates[s]
	}
	return name(nil, uint8(s))
}

// Delivery is a message to a webhook that was tried, or is to be. What it says is not kept: it is made of the ledger
// when it is sent.
type Delivery struct {
	WebhookKey
	ID        ID // the same for every try, and where the delivery is made anew
	Type      EventType
	Entry     ID    // of the ledger, that it tells of; NoID: of none
	Sequence  int64 // of that entry
	CreatedAt time.Time
	Attempts  int
	NextTryAt time.Time // zero: none is to come
	State     DeliveryState
	Status    int           // of the last answer; 0: there was none
	Error     string        // what came of the last try, in a word; empty: it was taken
	Took      time.Duration // the last try
	TriedAt   time.Time     // when that was; zero: never
}

// Again has it tried as if it never had been.
func (d *Delivery) Again(at time.Time) { d.State, d.Attempts, d.NextTryAt = DeliveryPending, 0, at }

// OldDeliveries names the deliveries of an organization that wait for nothing and were made before an instant.
type OldDeliveries struct {
	Organization ID
	Before       time.Time
	Limit        int
}

// DeliveriesFrom names the deliveries of a webhook from an id on.
type DeliveriesFrom struct {
	WebhookKey
	From ID
}

// WebhookCount is how many webhooks there are, and what they are not told.
type WebhookCount struct {
	Active, Disabled int64
	Parked           int64 // deliveries
	Behind           int64 // entries of its ledger that the active webhook which is furthest behind was not told of
}

// Drop gives a delivery up for good.
func (d *Delivery) Drop() { d.State, d.NextTryAt = DeliveryDropped, time.Time{} }

// Attempt is a try to deliver, and what came of it.
type Attempt struct {
	At     time.Time
	Took   time.Duration
	Status int    // of the answer; 0: there was none
	Error  string // in a word, what went wrong where it was not taken
	Taken  bool   // the receiver has it: a 2xx that came in time
}

// retryAfter is when a delivery is tried again, after each try that failed (contract, "Webhooks").
var retryAfter = [...]time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// MaxAttempts is how often a delivery is tried.
const MaxAttempts = len(retryAfter) + 1

const (
	// spread is the part of a wait by which it may be longer, so that what failed together is not tried together.
	spread = 0.1
	// failingFor is how long nothing may get through to a webhook.
	failingFor = 5 * 24 * time.Hour
	statusGone = 410
)

// Settle notes what came of a try, in the delivery and in its webhook: taken, to be tried again, or parked after the
// last try; the webhook is disabled by the status 410, and where a delivery is parked and nothing got through for five
// days. jitter is from 0 to 1, drawn by lot.
func (d *Delivery) Settle(w *Webhook, a Attempt, jitter float64) {
	d.Attempts++
	d.Status, d.Error, d.Took, d.TriedAt = a.Status, a.Error, a.Took, a.At
	if a.Taken {
		d.State, d.NextTryAt, d.Error = DeliveryDelivered, time.Time{}, ""
		w.FailingSince = time.Time{}
		return
	}
	if w.FailingSince.IsZero() {
		w.FailingSince = a.At
	}
	if a.Status != statusGone && d.Attempts < MaxAttempts {
		wait := retryAfter[d.Attempts-1]
		d.State = DeliveryPending
		d.NextTryAt = a.At.Add(wait + time.Duration(spread*jitter*float64(wait))).Truncate(time.Microsecond)
		return
	}
	d.State, d.NextTryAt = DeliveryParked, time.Time{}
	switch {
	case a.Status == statusGone:
		w.disable(DisabledGone, a.At)
	case a.At.Sub(w.FailingSince) >= failingFor:
		w.disable(DisabledFailing, a.At)
	}
}

func (w *Webhook) disable(why DisabledReason, at time.Time) {
	if w.Active() {
		w.Disabled = why
		w.touch(at)
	}
}
