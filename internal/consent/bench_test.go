package consent_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// BenchmarkRecord puts single decisions on record, 64 at once, of people who are all new, or who are known.
func BenchmarkRecord(b *testing.B) {
	for name, people := range map[string]int64{"new": 1 << 62, "known": 10_000} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			actor := h.organization(b)
			var n atomic.Int64
			one := func() error {
				given := []consent.Identifier{{Kind: consent.UserID, Value: "user-" + strconv.FormatInt(n.Add(1)%people, 10)}}
				_, err := h.svc.Record(context.Background(), actor, write(item(given)))
				return err
			}
			if name == "known" {
				var all []consent.Item
				for i := range people {
					all = append(all, item([]consent.Identifier{{Kind: consent.UserID, Value: "user-" + strconv.FormatInt(i, 10)}}))
				}
				for some := range slices.Chunk(all, consent.MaxItems) {
					if _, err := h.svc.Record(context.Background(), actor, write(some...)); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := one(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
