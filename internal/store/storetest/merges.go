package storetest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// mergesOnRecord holds all merges of an organization, in parts of whatever size, and those that were undone against
// want.
func (f *fixture) mergesOnRecord(o consent.ID, want []consent.SubjectMerge) {
	f.Helper()
	want = slices.Clone(want)
	var undone []consent.SubjectMerge
	var from []consent.SubjectKey
	for i := range want {
		if m := &want[i]; m.RecordedAt.IsZero() {
			m.RecordedAt = m.MergedAt
		}
		if !want[i].UndoneAt.IsZero() {
			undone = append(undone, want[i])
		}
		from = append(from, consent.SubjectKey{Organization: o, Subject: want[i].From})
	}
	slices.SortFunc(want, func(a, b consent.SubjectMerge) int {
		return cmp.Or(bytes.Compare(a.Into[:], b.Into[:]), bytes.Compare(a.From[:], b.From[:]), int(a.Number-b.Number))
	})
	f.view(func(ctx context.Context, r service.Reader) error {
		for limit := 1; limit <= len(want)+1; limit++ {
			var all []consent.SubjectMerge
			for after := (consent.SubjectMerge{}); ; after = all[len(all)-1] {
				page, err := r.AllMerges(ctx, o, after, limit)
				if err != nil {
					return err
				}
				if all = append(all, page...); len(page) < limit {
					break
				}
			}
			same(f, "all merges", all, want)
		}
		apart, err := r.UndoneMerges(ctx, from)
		same(f, "merges that were undone", apart, undone)
		return err
	})
}
