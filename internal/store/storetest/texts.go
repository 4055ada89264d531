package storetest

import (
	"context"
	"strings"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func testTexts(f *fixture) {
	a, b := f.organization(), f.organization()
	huge := strings.Repeat("ü𝄞\n", 700_000)
	f.append(consent.Changes{Texts: []consent.Text{{Organization: a, Hash: []byte{1}, Text: odd[0]},
		{Organization: a, Hash: []byte{2}, Text: huge},
		{Organization: a, Hash: []byte{1}, Text: odd[0]}, {Organization: b, Hash: []byte{1}, Text: "b's"}}})
	f.append(consent.Changes{Texts: []consent.Text{{Organization: a, Hash: []byte{1}, Text: odd[0]}}})
	for _, tc := range []struct {
		o    consent.ID
		hash byte
		want string
	}{{a, 1, odd[0]}, {a, 2, huge}, {b, 1, "b's"}, {b, 2, ""}} {
		f.view(func(ctx context.Context, r service.Reader) error {
			got, err := r.Text(ctx, tc.o, []byte{tc.hash})
			if got != tc.want {
				f.Errorf("text %d has %d bytes of %d", tc.hash, len(got), len(tc.want))
			}
			return err
		})
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		got, err := r.Texts(ctx, a, [][]byte{{2}, {7}, {1}, {2}})
		same(f, "texts", got, []string{huge, "", odd[0], huge})
		return err
	})
}

// testSubjectTexts: a text that one person was shown is that one's until it is shared, and goes with the person.
func testSubjectTexts(f *fixture) {
	a, b := f.organization(), f.organization()
	ada, bob, browser := f.subject(a), f.subject(a), f.subject(a)
	text := func(o, subject consent.ID, hash byte) consent.SubjectText {
		return consent.SubjectText{SubjectKey: consent.SubjectKey{Organization: o, Subject: subject}, Hash: []byte{hash},
			Sealed: []byte{hash, 0, 255}}
	}
	same(f, "held before", f.holders(a, ada, 1), consent.TextHolders{})
	f.append(consent.Changes{SubjectTexts: []consent.SubjectText{text(a, ada, 1), text(a, ada, 1),
		text(a, bob, 2), text(b, bob, 1)}, Texts: []consent.Text{{Organization: a, Hash: []byte{3}, Text: "all"}}})
	f.append(consent.Changes{SubjectTexts: []consent.SubjectText{text(a, ada, 1)}})
	same(f, "by who has it", f.holders(a, ada, 1), consent.TextHolders{Subject: true})
	same(f, "by somebody else", f.holders(a, bob, 1), consent.TextHolders{Others: true})
	same(f, "another", f.holders(a, ada, 2), consent.TextHolders{Others: true})
	same(f, "everybody's", f.holders(a, ada, 3), consent.TextHolders{Everybody: true})
	same(f, "another organization's", f.holders(b, ada, 2), consent.TextHolders{})
	f.append(consent.Changes{SubjectTexts: []consent.SubjectText{text(a, browser, 4), text(a, ada, 4)}})
	same(f, "by two", f.holders(a, ada, 4), consent.TextHolders{Subject: true, Others: true})
	f.append(consent.Changes{Merges: []consent.SubjectMerge{{Organization: a, Into: ada, From: browser, MergedAt: noon,
		RecordedAt: noon}}})
	same(f, "by who was merged", f.holders(a, ada, 4), consent.TextHolders{Subject: true})
	found := func(hashes ...[]byte) (got []consent.SubjectText) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.SubjectTexts(ctx, a, hashes)
			return err
		})
		return got
	}
	none := func(hash byte) consent.SubjectText {
		return consent.SubjectText{SubjectKey: consent.SubjectKey{Organization: a}, Hash: []byte{hash}}
	}
	same(f, "texts", found([]byte{2}, []byte{9}, []byte{1}),
		[]consent.SubjectText{text(a, bob, 2), none(9), text(a, ada, 1)})
	f.append(consent.Changes{ErasedSubjects: []consent.ErasedSubject{{
		SubjectKey: consent.SubjectKey{Organization: a, Subject: ada}, Erasure: consent.Erasure{At: noon}}}})
	same(f, "after an erasure", found([]byte{1}, []byte{2}, []byte{4}),
		[]consent.SubjectText{none(1), text(a, bob, 2), text(a, browser, 4)})
	f.append(consent.Changes{SharedTexts: []consent.Text{{Organization: a, Hash: []byte{2}}}})
	same(f, "shared", found([]byte{2}), []consent.SubjectText{none(2)})
	same(f, "in another organization", f.holders(b, bob, 1), consent.TextHolders{Subject: true})
}

func (f *fixture) holders(organization, subject consent.ID, hash byte) (held consent.TextHolders) {
	f.view(func(ctx context.Context, r service.Reader) error {
		got, err := r.TextHolders(ctx, []consent.Text{{Organization: organization, Subject: subject, Hash: []byte{hash}}})
		if err == nil {
			held = got[0]
		}
		return err
	})
	return held
}
