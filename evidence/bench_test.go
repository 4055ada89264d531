package evidence

import (
	"bytes"
	"strconv"
	"testing"
)

// BenchmarkVerify verifies bundles of so many decisions.
func BenchmarkVerify(b *testing.B) {
	for _, decisions := range []int{100, MaxDecisions} {
		b.Run(strconv.Itoa(decisions), func(b *testing.B) {
			bundle := written(b, testBundle(decisions))
			b.ReportAllocs()
			for b.Loop() {
				r, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{})
				if err != nil || !r.Holds() {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(len(bundle)), "B/bundle")
		})
	}
}
