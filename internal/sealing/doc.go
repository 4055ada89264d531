// Package sealing knows key material and ciphertexts: the key file, how keys of people are wrapped, how texts are
// sealed under them, and how identifiers are found without being readable. It knows no store, no HTTP, no clock (times
// and randomness are handed in) and no rule about people: which key is whose, and when one is destroyed, others decide.
//
// Keys stand in three layers. A key file ([File]) holds key-encryption keys (KEK), newest last. A [Ring] of them wraps
// the 32 bytes of a subject or an organization ([Key]), which the database keeps. Under a subject's key, [Subject]
// seals what is known about the person, a derived key for each [Label]. Who destroys a subject's wrapped key has
// destroyed all that was sealed under it; who has the database without the key file reads none of it.
//
// Ciphers are AES-256-GCM (NIST SP 800-38D) with random nonces of 96 bits, keys are derived by HKDF-SHA-256 (RFC 5869),
// indexes are HMAC-SHA-256 (RFC 2104).
//
// Wiping is best effort: Go may have copied a key while it moved a stack, and the standard library keeps the expanded
// forms of keys where nobody can reach them. No type here shows its secret through fmt, log/slog or encoding/json.
package sealing
