package consent

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWithinLosesNobody: an id that an event has which was recorded in the span of time is in the span of ids, unless
// it is more than an hour ahead; and the span never grows.
func TestWithinLosesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(label string) time.Time {
			return noon.Add(time.Duration(rapid.Int64Range(-1e10, 1e10).Draw(t, label)) * time.Microsecond)
		}
		q := EventQuery{Ascending: rapid.Bool().Draw(t, "ascending")}
		if rapid.Bool().Draw(t, "has from") {
			q.RecordedFrom = at("from")
		}
		if rapid.Bool().Draw(t, "has to") {
			q.RecordedTo = at("to")
		}
		recorded := at("recorded")
		ahead := time.Duration(rapid.Int64Range(-int64(idBehind), int64(idAhead)).Draw(t, "ahead"))
		id := NewID(recorded.Add(ahead), [10]byte(rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "random")))
		whole := WholeLedger(newest, q.Ascending)
		if !q.Ascending {
			whole = EventSpan{After: newest, To: NoID}
		}
		span := q.Within(whole)
		asked := !recorded.Before(q.RecordedFrom) && (q.RecordedTo.IsZero() || recorded.Before(q.RecordedTo))
		least, most := span.After, span.To
		if !q.Ascending {
			least, most = span.To, span.After
		}
		if in := bytes.Compare(id[:], least[:]) > 0 && bytes.Compare(id[:], most[:]) <= 0; asked && !in {
			t.Fatalf("%s, recorded at %s, is not in %+v of %+v", id, recorded, span, q)
		}
		far := NewID(q.RecordedTo.Add(idAhead+time.Second), [10]byte{})
		if !q.RecordedTo.IsZero() && bytes.Compare(far[:], most[:]) <= 0 {
			t.Fatalf("%+v reaches as far as %s", span, far)
		}
		if again := q.Within(span); again != span {
			t.Fatalf("%+v becomes %+v", span, again)
		}
	})
}
