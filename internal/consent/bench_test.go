package consent_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// BenchmarkRecord puts single decisions of new people on record, 64 at once.
func BenchmarkRecord(b *testing.B) {
	h := newHouse(b)
	actor := h.organization(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			given := []consent.Identifier{{Kind: consent.UserID, Value: "user-" + strconv.FormatInt(n.Add(1), 10)}}
			_, err := h.svc.Record(context.Background(), actor, write(item(given)))
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
