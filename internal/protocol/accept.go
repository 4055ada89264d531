package protocol

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Accepted gives the one of some media types that a request likes best, by its Accept headers (RFC 9110, section
// 12.5.1); of equals the first. Without such a header it is the first of all. "": it takes none of them.
func Accepted(r *http.Request, types ...string) string {
	lines := r.Header["Accept"]
	if len(lines) == 0 {
		return types[0]
	}
	ranges := mediaRanges(strings.Join(lines, ","))
	best, most := "", 0.0
	for _, t := range types {
		if q := quality(ranges, t); q > most {
			best, most = t, q
		}
	}
	return best
}

// mediaRange is one of what an Accept header lists.
type mediaRange struct {
	of string // "text/csv", "text/*" or "*/*"
	q  float64
}

// maxRanges is how many ranges are looked at.
const maxRanges = 32

// mediaRanges reads an Accept header. What is malformed names nothing.
func mediaRanges(header string) (ranges []mediaRange) {
	for _, part := range strings.SplitN(header, ",", maxRanges+1) {
		of, parameters, err := mime.ParseMediaType(part)
		if err != nil || len(ranges) == maxRanges {
			continue
		}
		m := mediaRange{of, 1}
		if weight, ok := parameters["q"]; ok {
			if m.q, err = strconv.ParseFloat(weight, 64); err != nil || !(m.q >= 0 && m.q <= 1) {
				continue
			}
		}
		ranges = append(ranges, m)
	}
	return ranges
}

// quality tells how much a type is liked, by the range that names it most exactly; 0: not at all.
func quality(ranges []mediaRange, of string) (q float64) {
	group, _, _ := strings.Cut(of, "/")
	exactness := 0
	for _, m := range ranges {
		this := 0
		switch m.of {
		case of:
			this = 3
		case group + "/*":
			this = 2
		case "*/*":
			this = 1
		}
		if this > exactness {
			exactness, q = this, m.q
		}
	}
	return q
}
