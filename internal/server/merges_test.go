package server_test

import (
	"fmt"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestMergeSeenAtOnce proves that a merge and its undoing, as a decision, count for the very next question, under load:
// a merge with somebody who said no makes a no, undone it is the yes again.
func TestMergeSeenAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) { mergesSeen(t, newHarness(t, e)) })
}

// TestThreeServersMerge is TestMergeSeenAtOnce on three servers: each of them is asked.
func TestThreeServersMerge(t *testing.T) { onThree(t, mergesSeen) }

func mergesSeen(t *testing.T, w *harness) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	stop := w.load(2)
	defer stop()
	for round := range rounds {
		person := w.newPerson()
		other := w.mine.with(vars{"email": w.mine.expand("other.{{n}}@shop.example")})
		native := anyOf(writersOf(consent.Marketing, consent.Withdrawn))
		hub := w.writerNamed("consent-hub")
		native.decide(w, round, person, consent.Marketing, consent.Accepted)
		hub.decide(w, round+1, other, consent.Marketing, consent.Declined)
		person["subjectid"], other["subjectid"] = w.subjectOf(person), w.subjectOf(other)
		both := func(one, two, when string) {
			w.Helper()
			when = fmt.Sprintf("round %d, %s", round, when)
			w.everybodySays(person, consent.Marketing, one, when)
			w.othersSay(other, two, when)
		}
		both(yes, no, "at first")
		for again := range 2 {
			w.merges("merge", round+again, person, other)
			both(no, no, "merged")
			w.merges("unmerge", round+again+1, person, other)
			both(yes, no, "undone")
		}
		w.merges("merge", round, person, other)
		native.decide(w, round+1, person, consent.Marketing, consent.Accepted)
		both(yes, yes, "a yes after the merge")
		w.merges("unmerge", round+2, person, other)
		both(yes, no, "undone after that yes")
	}
	stop()
	w.audit()
}

// othersSay asks every server by the native check about somebody who is known by an e-mail address alone.
func (w *harness) othersSay(other vars, want, when string) {
	w.Helper()
	reader := decisionReader{name: "native check by e-mail", method: "POST", target: nativeCheck, headers: bearerKey,
		body: `{"identifiers":{"email":"{{email}}"},"purposes":["{{purpose}}"]}`, read: checkedOf}
	for server := range w.urls {
		if got := reader.ask(w, server, other, consent.Marketing); !says(got, want) {
			w.Errorf("%s: of the other one server %d says %s, want %s", when, server, got, want)
		}
	}
}

func (w *harness) writerNamed(name string) decisionWriter {
	w.Helper()
	for _, d := range decisionWriters {
		if d.name == name {
			return d
		}
	}
	w.Fatalf("no call %s", name)
	return decisionWriter{}
}

// subjectOf looks up the id of a subject by its e-mail address.
func (w *harness) subjectOf(v vars) string {
	w.Helper()
	found := w.do(v, "POST", nativeSubjects+":lookup", bearerKey, `{"identifiers":{"email":"{{email}}"}}`)
	return w.value(found, 200, "id")
}

// merges merges somebody into a person, or undoes it.
func (w *harness) merges(verb string, server int, person, other vars) {
	w.Helper()
	res := w.doAt(server, person.with(vars{"other": other["subjectid"]}), "POST",
		nativeSubjects+"/{{subjectid}}/"+verb, bearerKey, `{"subjectId":"{{other}}"}`)
	if res.Status != 200 {
		w.Fatalf("%s: %v", verb, res)
	}
}
