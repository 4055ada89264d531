package service_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// BenchmarkRecord puts single decisions on record, 64 at once, of people who are all new, or who are known.
func BenchmarkRecord(b *testing.B) {
	for name, people := range map[string]int64{"new": 1 << 62, "known": 10_000} {
		b.Run(name, func(b *testing.B) {
			h := newHarness(b)
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

// BenchmarkLate puts a decision on record that was taken before others about somebody who has taken very many.
func BenchmarkLate(b *testing.B) {
	const many = 200_000
	h := newHarness(b)
	actor := h.organization(b)
	at := func(after time.Duration, state consent.State) consent.Item {
		d := decided(consent.Analytics, state)
		d.OccurredAt = noon.Add(after - time.Hour)
		return item(user("ada"), d)
	}
	for from := 0; from < many; from += consent.MaxItems {
		var items []consent.Item
		for i := range consent.MaxItems {
			items = append(items, at(time.Duration(from+i)*time.Millisecond, consent.Accepted))
		}
		if _, err := h.svc.Record(context.Background(), actor, write(items...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for late := time.Second; b.Loop(); late += time.Millisecond {
		// each breaks the run of yes
		if _, err := h.svc.Record(context.Background(), actor, write(at(late, consent.Declined))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNormalize brings the identifiers that writes mostly name to their one form.
func BenchmarkNormalize(b *testing.B) {
	for _, id := range []consent.Identifier{
		{Kind: consent.UserID, Value: "customer-12345"},
		{Kind: consent.UserID, Value: "0192F0C1-2B3A-7C4D-8E5F-0123456789AB"},
		{Kind: consent.UserID, Value: "Zoë"},
		{Kind: consent.Email, Value: "jsmith@example.com"},
		{Kind: consent.Email, Value: "Ada.Lovelace@Example.COM"},
		{Kind: consent.Email, Value: "ada@bücher.example"},
		{Kind: consent.Phone, Value: "+16502530000"},
		{Kind: consent.Phone, Value: "+1 (650) 253-0000"},
		{Kind: consent.Phone, Value: "030 901820"},
	} {
		b.Run(string(id.Kind)+"/"+id.Value, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := consent.Normalize(id.Kind, id.Value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkManyMerges signs somebody in from a new browser who has done so very often.
func BenchmarkManyMerges(b *testing.B) {
	h := newHarness(b)
	actor := h.organization(b)
	n := 0
	signIn := func() (browser, merging consent.Item) {
		n++
		id := consent.Identifier{Kind: consent.AnonymousID, Value: consent.ID{12: byte(n >> 16), 13: byte(n >> 8),
			14: byte(n), 15: 1}.String()}
		seen := decided(consent.Analytics, consent.Viewed)
		return item([]consent.Identifier{id}), item(append(user("ada"), id), seen)
	}
	for range 20 {
		var browsers, merging []consent.Item
		for range 500 {
			one, two := signIn()
			browsers, merging = append(browsers, one), append(merging, two)
		}
		h.record(b, actor, browsers...)
		h.record(b, actor, merging...)
	}
	b.ReportAllocs()
	for b.Loop() {
		browser, merging := signIn()
		h.record(b, actor, browser)
		h.record(b, actor, merging)
	}
}
