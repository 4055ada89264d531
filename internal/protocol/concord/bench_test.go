package concord

import (
	"fmt"
	"strings"
	"testing"
)

// The hot path of this package: a request's bytes to the core's batch, and events to an answer's bytes.

func benchmarkSizes(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			run(b, n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/item")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, n int) {
		item := `{"projectUserId":"customer-12345","email":"jsmith@example.com","category":"privacy_setting","subcategory":"analytics",` +
			`"consentState":"accepted","consentAction":"user_click","consentDate":"2023-11-07T05:31:56Z"}`
		body := []byte(`{"items":[` + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + `]}`)
		for b.Loop() {
			if _, err := decodeEvents(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRender(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, n int) {
		view := sampleView()
		for b.Loop() {
			body := make([]byte, 0, n*eventSize)
			for range n {
				body = appendEvent(body, &view)
			}
			if len(body) > n*eventSize {
				b.Fatalf("eventSize is too small: %d bytes an event", len(body)/n)
			}
		}
	})
}
