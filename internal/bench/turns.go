package bench

import (
	"context"
	"math"
	"time"
)

// turns is how often Run runs each of the loads that it compares. A machine does not stay the same from one second to
// the next, and a shared one changes by a tenth and more: what is compared must run close together, and often.
const turns = 10

// compared is a load that is run in turns with others.
type compared struct {
	next generator
	runs []result
}

// inTurns runs loads one after the other, rounds times. It ends with the first, so that each run of the others has
// one of the first before it and one after it. Half a turn passes before each is counted: until then a server may still
// work for the load before, such as on a checkpoint, and does not yet do all that it does for this one.
func inTurns(ctx context.Context, rounds, connections int, turn time.Duration, loads ...*compared) error {
	for i := range rounds*len(loads) + 1 {
		c := loads[i%len(loads)]
		run, err := loadAfter(ctx, connections, turn/2, turn, c.next)
		if err != nil {
			return err
		}
		c.runs = append(c.runs, run)
	}
	return nil
}

// all is what the runs came to together.
func (c *compared) all() (result, error) {
	var took []time.Duration
	var counted time.Duration
	for _, run := range c.runs {
		took, counted = append(took, run.took...), counted+run.counted
	}
	return newResult(took, counted)
}

// over compares each run with the mean of the runs of base before and after it. It gives the mean of these ratios and
// its standard error.
func (c *compared) over(base *compared) (a average) {
	ratios, n := make([]float64, len(c.runs)), float64(len(c.runs))
	for i, run := range c.runs {
		ratios[i] = 2 * run.rate / (base.runs[i].rate + base.runs[i+1].rate)
		a.mean += ratios[i] / n
	}
	for _, ratio := range ratios {
		a.deviation += (ratio - a.mean) * (ratio - a.mean) / (n * (n - 1))
	}
	a.deviation = math.Sqrt(a.deviation)
	return a
}
