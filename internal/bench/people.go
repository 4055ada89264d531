package bench

import (
	"math/rand/v2"
	"strconv"
)

// people are those whose consent is recorded.
type people struct{ count int }

func newPeople(count int) *people { return &people{max(count, 1)} }

// known names a person of whom an event is likely to be on record.
func (p *people) known(r *rand.Rand) string {
	return "user-" + strconv.Itoa(r.IntN(max(p.count/hot, 1)))
}

// hot is how much smaller the part of the people is that every tenth event is about.
const hot = 100

// events makes the body of a request with n events.
func (p *people) events(r *rand.Rand, n int) []byte {
	return itemsBody(n, func(b []byte, _ int) []byte {
		person := r.IntN(p.count)
		if r.IntN(10) == 0 {
			person %= max(p.count/hot, 1)
		}
		return appendItem(b, person, [...]string{"analytics", "marketing", "functional"}[r.IntN(3)],
			[...]string{"accepted", "declined"}[r.IntN(2)])
	})
}

// itemsBody makes the body of a request with n items, of which next appends number i.
func itemsBody(n int, next func(b []byte, i int) []byte) []byte {
	b := append(make([]byte, 0, 160*n), `{"items":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = next(b, i)
	}
	return append(b, "]}"...)
}

func appendItem(b []byte, person int, purpose, state string) []byte {
	b = append(b, `{"userId":"user-`...)
	b = strconv.AppendInt(b, int64(person), 10)
	b = append(b, `","category":"privacy_setting","subcategory":"`...)
	b = append(b, purpose...)
	b = append(b, `","consentState":"`...)
	b = append(b, state...)
	return append(b, `","consentAction":"user_click"}`...)
}
