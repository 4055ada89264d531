// Package consent knows what consent is: the vocabulary, the rules, the
// Service that every protocol calls and the Store it writes through. It knows
// nothing of HTTP, of SQL, or of any protocol's words.
//
// A write of a decision goes one way: collect, load, decide, append, commit
// (see Service.Record). The rules in identity.go, fold.go and decide.go are
// pure functions of what was loaded, so that a property test can run them a
// million times.
package consent
