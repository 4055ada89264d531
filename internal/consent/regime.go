package consent

// Regime is the legal regime of a place: whether marketing needs an active
// yes first, or may go ahead until the person objects.
type Regime string

const (
	// OptIn: nothing may happen before an active yes (GDPR Art. 4(11), ePrivacy Art. 13).
	OptIn Regime = "opt-in"
	// OptOut: implied consent holds until the person objects.
	OptOut Regime = "opt-out"
)

// UnknownCountry stands for a place that could not be told.
const UnknownCountry = "UNKNOWN"
