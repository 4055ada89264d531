package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// mergeAt is the merge of an entry.
func mergeAt(entry int64, into, from byte) consent.SubjectMerge {
	return consent.SubjectMerge{Into: consent.ID{into}, From: consent.ID{from}, MergedAt: noon, RecordedAt: noon,
		After: entry - 1}
}

// TestMergesOfConsents: a consent rests on all merges that led to its subject and stand, and on no others.
func TestMergesOfConsents(t *testing.T) {
	line := func(subject byte, of ...consent.SubjectMerge) *Consent {
		c := &Consent{Subject: consent.ID{subject}}
		for _, m := range of {
			c.Merges = append(c.Merges, Merge{Into: m.Into, From: m.From, MergedAt: m.MergedAt, RecordedAt: m.RecordedAt,
				After: m.After})
		}
		return c
	}
	later := func(c *Consent) *Consent {
		c.Later = true
		return c
	}
	// 3 and 4 became 2 and it became 1; 5 became 1 and was taken apart again.
	first, second, third, fourth := mergeAt(12, 2, 3), mergeAt(14, 2, 4), mergeAt(16, 1, 2), mergeAt(18, 1, 5)
	dropped, behind, other := mergeAt(3, 1, 6), mergeAt(40, 1, 7), mergeAt(13, 1, 8)
	at, recorded := third, third
	at.MergedAt, recorded.RecordedAt = noon.Add(time.Microsecond), noon.Add(time.Microsecond)
	for name, tc := range map[string]struct {
		line     *Consent
		says     string
		unproved bool
	}{
		"all":                       {line(1, first, second, third), "", false},
		"who was merged":            {line(2, first, second), "", false},
		"nobody":                    {line(9), "", false},
		"one left out":              {line(1, first, third), "entry 14 tells that ", false},
		"all left out":              {line(1), "entry 16 tells that ", false},
		"of whom no entry tells":    {line(1, first, second, third, other), "entry 13 does not tell ", false},
		"into another":              {line(1, first, second, mergeAt(16, 1, 3)), "entry 16 does not tell ", false},
		"at another time":           {line(1, first, second, at), "entry 16 tells that ", false},
		"recorded at another time":  {line(1, first, second, recorded), "entry 16 tells that ", false},
		"undone":                    {line(1, first, second, third, fourth), "entry 20 tells that the merge ", false},
		"from behind":               {line(1, first, second, third, behind), "from behind the checkpoint", false},
		"from behind, and unstated": {later(line(1, first, second, third, behind)), "", false},
		"undone behind":             {later(line(1, first, second)), "", false},
		"dropped":                   {line(1, dropped, first, second, third), "", true},
	} {
		s := newMerges()
		s.dropped, s.size = 10, 30
		for _, m := range []consent.SubjectMerge{first, second, third, fourth} {
			s.add(consent.MergeEntry, &m)
		}
		undone := fourth
		undone.UndoneAfter = 19
		if !s.add(consent.UnmergeEntry, &undone) || s.add(consent.UnmergeEntry, &undone) {
			t.Fatal("a merge is undone once")
		}
		var faults []string
		unproved := s.check(tc.line, func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf(format, args...))
		})
		got := strings.Join(faults, "\n")
		if unproved != tc.unproved || (tc.says == "") != (got == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: unproved %t, %q", name, unproved, got)
		}
	}
}

// TestUndoneMerges: what undoes a merge must name one that stands, unless retention has dropped its entry.
func TestUndoneMerges(t *testing.T) {
	for name, tc := range map[string]struct {
		m  consent.SubjectMerge
		ok bool
	}{
		"one that stands":      {mergeAt(12, 1, 2), true},
		"another one":          {mergeAt(12, 1, 3), false},
		"one that is not":      {mergeAt(13, 1, 2), false},
		"one that was dropped": {mergeAt(9, 1, 2), true},
	} {
		s := newMerges()
		s.dropped = 10
		m := mergeAt(12, 1, 2)
		s.add(consent.MergeEntry, &m)
		if ok := s.add(consent.UnmergeEntry, &tc.m); ok != tc.ok {
			t.Errorf("%s: %t", name, ok)
		}
	}
}

// TestVersionsOfDecisions: a version that a decision is on has its entry before it, unless retention may have dropped
// it.
func TestVersionsOfDecisions(t *testing.T) {
	made := func(version int) madeVersion { return madeVersion{nameOf("project", "letters"), version} }
	for name, tc := range map[string]struct {
		made    []madeVersion
		version int
		dropped int64
		ok      bool
	}{
		"the first":          {[]madeVersion{made(1)}, 1, 0, true},
		"an earlier one":     {[]madeVersion{made(1), made(2)}, 1, 0, true},
		"one that is not":    {[]madeVersion{made(1), made(2)}, 3, 0, false},
		"no entry":           {nil, 1, 0, false},
		"of another purpose": {[]madeVersion{{nameOf("project", "other"), 1}}, 1, 0, false},
		"before the first":   {nil, 0, 0, true},
		"dropped":            {nil, 1, 1, true},
	} {
		faults := 0
		v := &verifier{o: &Options{Fault: func(string) { faults++ }}, merges: newMerges(), versions: map[about]int{}}
		v.report.Dropped = tc.dropped
		d := decision{event: consent.Event{Sequence: 9, PurposeVersion: tc.version}, about: nameOf("project", "letters")}
		v.takeFacts(&part{made: tc.made, decided: []decision{d}})
		if (faults == 0) != tc.ok {
			t.Errorf("%s: %d faults", name, faults)
		}
	}
}
