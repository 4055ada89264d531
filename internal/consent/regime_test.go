package consent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRegimesOf goes through every purpose of a new project: what the regime and the signal make of it.
func TestRegimesOf(t *testing.T) {
	var purposes []Purpose
	for _, p := range BuiltInPurposes() {
		purposes = append(purposes, Purpose{Key: p.Key, Status: "active", LegalBasis: BasisConsent})
	}
	purposes = append(purposes, Purpose{Key: "old", Status: "archived", LegalBasis: BasisConsent},
		Purpose{Key: "trial", Status: "test", LegalBasis: BasisConsent})
	signalled := map[string]string{Marketing: "declined", Retargeting: "declined", Tracking: "declined",
		DoNotSell: "accepted"}
	for _, c := range []struct {
		regime Regime
		optOut bool
		signal map[string]string
	}{{OptIn, false, nil}, {OptOut, false, nil}, {OptIn, true, nil}, {OptOut, true, signalled}} {
		got := map[string]string{}
		all := RegimesOf(c.regime, purposes, c.optOut)
		for _, r := range all {
			if r.Regime != c.regime {
				t.Errorf("%s is %s in %s", r.Purpose.Key, r.Regime, c.regime)
			}
			if r.Signal != 0 {
				got[r.Purpose.Key] = r.Signal.String()
			}
		}
		if len(all) != len(purposes)-1 {
			t.Errorf("%d purposes of %d, of which one is closed", len(all), len(purposes))
		}
		want := c.signal
		if want == nil {
			want = map[string]string{}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s, signal %v (-want +got):\n%s", c.regime, c.optOut, d)
		}
	}
}

// TestRegimesOfOtherBases: of what does not stand on consent nobody is asked, but who may object does so by the signal
// everywhere.
func TestRegimesOfOtherBases(t *testing.T) {
	for _, regime := range []Regime{OptIn, OptOut} {
		for _, basis := range LegalBases {
			want := PurposeRegime{}
			switch basis {
			case BasisConsent:
				want.Regime = regime
			case BasisLegitimateInterests:
				want.Regime = OptOut
			}
			if want.Regime == OptOut {
				want.Signal = Declined
			}
			purposes := []Purpose{{Key: Marketing, LegalBasis: basis}}
			want.Purpose = &purposes[0]
			if got := RegimesOf(regime, purposes, true); len(got) != 1 || got[0] != want {
				t.Errorf("%s in %s is %+v, want %+v", basis, regime, got, want)
			}
		}
	}
}
