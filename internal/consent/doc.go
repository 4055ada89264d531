// Package consent knows the rules: the vocabulary, which event decides, who is who, purposes and regimes, and when an
// answer may be acted on. It knows nothing of how they are stored or asked for: no context, clock, randomness,
// goroutine, cryptography, HTTP or SQL. Whoever audits "may we?" reads this folder alone.
//
// fold.go says which of a person's events decides, merge.go what becomes of two people who turn out to be one,
// identity.go who is who, prepare.go what a valid decision is, decision.go what event it makes, and working.go keeps a
// consent while several decisions are taken about it.
package consent
