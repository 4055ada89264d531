package server

import "github.com/consentd/consentd/internal/webhook"

// Delivered counts a try to deliver a message to a webhook; see service.Options.Delivered.
func (m *Metrics) Delivered(r webhook.Result) {
	outcome := string(r.Reason)
	switch {
	case r.Taken():
		outcome = "taken"
	case r.Reason == webhook.Answered:
		outcome = "refused_by_status"
	}
	m.delivered.WithLabelValues(outcome).Inc()
	m.deliveryTime.Observe(r.Took.Seconds())
}
