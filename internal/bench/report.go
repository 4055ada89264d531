package bench

import (
	"fmt"
	"time"
)

// figure is one line of the result.
type figure struct {
	name  string
	load  result // nothing was counted: only the rest is printed
	extra string
}

func (f *figure) String() string {
	rate, p50, p99, extra := "", "", "", ""
	if f.load.counted > 0 {
		rate = fmt.Sprintf("%.0f", f.load.rate)
		p50, p99 = fmt.Sprintf("%.2f", milliseconds(f.load.p50)), fmt.Sprintf("%.2f", milliseconds(f.load.p99))
	}
	if f.extra != "" {
		extra = "  " + f.extra
	}
	return fmt.Sprintf("  %-42s %12s %10s %10s%s", f.name, rate, p50, p99, extra)
}

// ratio compares two figures with what they should reach.
type ratio struct {
	name  string
	value average
	least float64
}

// average is a mean of several measurements, or one of them.
type average struct {
	mean, deviation float64 // deviation is the mean's standard error; 0: it was measured once
}

func (r *ratio) String() string {
	deviation := ""
	if r.value.deviation > 0 {
		deviation = fmt.Sprintf("± %.3f", r.value.deviation)
	}
	return fmt.Sprintf("  %-66s %5.2f %-8s to reach %.2f  %s", r.name, r.value.mean, deviation, r.least,
		verdict(r.value.mean >= r.least))
}

// limit is a figure that must not be more than something.
type limit struct {
	name        string
	value, most float64
	unit        string
}

func (l *limit) String() string {
	return fmt.Sprintf("  %-66s %5.1f %-8s at most %-5.4g %s", l.name, l.value, l.unit, l.most,
		verdict(l.value > 0 && l.value <= l.most))
}

// least is a figure that must not be less than something.
type least struct {
	name         string
	value, least float64
}

func (l *least) String() string {
	return fmt.Sprintf("  %-66s %5.0f %-8s to reach %.0f  %s", l.name, l.value, "", l.least, verdict(l.value >= l.least))
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func (o *Options) printRatios(lines ...fmt.Stringer) {
	fmt.Fprintln(o.Out, "\nratios")
	for _, line := range lines {
		fmt.Fprintln(o.Out, line)
	}
}

func (o *Options) printFigures(figures ...*figure) {
	fmt.Fprintf(o.Out, "\n%-44s %12s %10s %10s\n", "figures", "requests/s", "p50 ms", "p99 ms")
	for _, f := range figures {
		fmt.Fprintln(o.Out, f)
	}
}
