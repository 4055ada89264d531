package consent

// Idempotency makes a write happen once however often it is sent (the Idempotency-Key
// of the contracts). The answer is kept for 24 hours in the transaction of the
// write itself, encrypted so that only the caller's own credential opens it.
type Idempotency struct {
	Key         string   // 1 to 255 printable ASCII; empty: no protection
	Fingerprint [32]byte // SHA-256 of method, path and body
	// Render makes the answer to keep from the method's first result. It is called
	// only where Key is set, before the commit, and must have no effect.
	Render func(result any) ([]byte, error)
}

// Replayed is the error of a write that was done before: Answer is what Render made then.
type Replayed struct{ Answer []byte }

func (*Replayed) Error() string { return "this write was done before" }
