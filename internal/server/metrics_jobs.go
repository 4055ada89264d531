package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/consentd/consentd/internal/consent"
)

// Job counts an attempt at a job; see service.Options.JobRun.
func (m *Metrics) Job(kind, outcome string, took time.Duration) {
	m.jobs.WithLabelValues(kind, outcome).Inc()
	m.jobTime.WithLabelValues(kind).Observe(took.Seconds())
}

// Jobs adds how many jobs are due and parked; to be called once.
func (m *Metrics) Jobs(counts func(context.Context) ([]consent.JobCount, error)) {
	m.registry.MustRegister(jobFigures(counts))
}

// jobFigures counts jobs when somebody asks for the metrics.
type jobFigures func(context.Context) ([]consent.JobCount, error)

var (
	jobsDue    = prometheus.NewDesc("consentd_jobs_due", "Jobs that are due and not done.", []string{"kind"}, nil)
	jobsParked = prometheus.NewDesc("consentd_jobs_parked", "Jobs that failed for good; see consentd jobs list --parked.",
		[]string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (jobFigures) Describe(out chan<- *prometheus.Desc) {
	out <- jobsDue
	out <- jobsParked
}

// figuresTimeout bounds how long the store may take to count: the other metrics are wanted meanwhile.
const figuresTimeout = time.Second

// Collect implements prometheus.Collector. Where the jobs cannot be counted in time, they are left out.
func (f jobFigures) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), figuresTimeout)
	defer cancel()
	counts, err := f(ctx)
	if err != nil {
		return
	}
	for _, c := range counts {
		out <- prometheus.MustNewConstMetric(jobsDue, prometheus.GaugeValue, float64(c.Due), c.Kind)
		out <- prometheus.MustNewConstMetric(jobsParked, prometheus.GaugeValue, float64(c.Parked), c.Kind)
	}
}
