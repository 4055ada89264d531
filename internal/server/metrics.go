package server

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/consentd/consentd/internal/service"
)

// Metrics are what /metrics shows. No label has a value that a client chose.
type Metrics struct {
	http.Handler
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	series    sync.Map // answered → *answeredSeries: looking labels up by their text is slow
	refused   *prometheus.CounterVec
	batches   *prometheus.CounterVec
	batchSize prometheus.Histogram
	batchTime prometheus.Histogram
	signed    *prometheus.CounterVec
	cosigned  *prometheus.CounterVec
	jobs      *prometheus.CounterVec
	jobTime   *prometheus.HistogramVec

	delivered    *prometheus.CounterVec
	deliveryTime prometheus.Histogram

	unreadable prometheus.Counter
}

// NewMetrics makes the metrics of one process. ready reports whether writes are taken.
func NewMetrics(version string, ready func() error) *Metrics {
	buckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_requests_total",
			Help: "Requests answered."}, []string{"protocol", "method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "consentd_request_duration_seconds",
			Help: "Time from the head of a request to the end of its answer.", Buckets: buckets}, []string{"protocol"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_requests_limited_total",
			Help: "Requests answered 429, by the limit that refused them."}, []string{"limit"}),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_batches_total",
			Help: "Transactions that write decisions."}, []string{"outcome"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "consentd_batch_requests",
			Help: "Write requests that shared one commit.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}}),
		batchTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "consentd_batch_duration_seconds",
			Help: "Time to load, decide, append and commit one batch.", Buckets: buckets}),
		signed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_checkpoints_total",
			Help: "Checkpoints of ledgers that were to be signed; refused: what is stored is not what was committed."},
			[]string{"outcome"}),
		cosigned: newCosigned(),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_job_runs_total",
			Help: "Attempts at jobs that were due."}, []string{"kind", "outcome"}),
		jobTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "consentd_job_duration_seconds",
			Help: "Time that attempts at jobs took.", Buckets: []float64{.001, .01, .1, 1, 10, 60, 600}}, []string{"kind"}),
		delivered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_webhook_messages_total",
			Help: "Tries to deliver a message to a webhook, by what came of them."}, []string{"outcome"}),
		deliveryTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "consentd_webhook_duration_seconds",
			Help: "Time until a receiver of messages answered.", Buckets: buckets}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{Name: "consentd_unreadable_rows_total",
			Help: "Rows that lists have shown without what could not be decrypted."}),
	}
	started := float64(time.Now().Unix())
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.durations, m.refused, m.batches, m.batchSize, m.batchTime, m.signed, m.cosigned,
		m.jobs, m.jobTime, m.delivered, m.deliveryTime,
		m.unreadable,
		gauge("consentd_start_time_seconds", "When the process started, in Unix seconds.", func() float64 { return started }),
		gauge("consentd_ready", "1 where writes are taken, else 0.", func() float64 {
			if ready() != nil {
				return 0
			}
			return 1
		}),
		gauge("consentd_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) }),
		gauge("consentd_heap_bytes", "Bytes of live and not yet collected heap objects.", func() float64 {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			return float64(stats.HeapAlloc)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "consentd_build_info", Help: "1; the labels tell the build.",
			ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()}}, func() float64 { return 1 }),
	)
	for _, of := range []string{ofKey, ofOrganization, ofFailures} { // shown before the first one is counted
		m.refused.WithLabelValues(of)
	}
	for _, outcome := range []string{service.CheckpointSigned, service.CheckpointRefused, service.CheckpointFailed,
		service.CheckpointBehind} {
		m.signed.WithLabelValues(outcome)
	}
	m.registry = registry
	m.Handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// Figure is what a store says of itself at the moment.
type Figure struct {
	Name, Help string
	Counts     bool // it only goes up
	Value      float64
}

// storeFigures reads a store's figures when somebody asks for the metrics.
type storeFigures func() []Figure

// Describe implements prometheus.Collector: what there is depends on the store.
func (storeFigures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s storeFigures) Collect(out chan<- prometheus.Metric) {
	for _, f := range s() {
		kind := prometheus.GaugeValue
		if f.Counts {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(f.Name, f.Help, nil, nil), kind, f.Value)
	}
}

// streams adds the number of streams that are being sent, by the first server that there are metrics of.
func (m *Metrics) streams(running func() int) {
	if m != nil {
		_ = m.registry.Register(gauge("consentd_streams", "Streams that are being sent.",
			func() float64 { return float64(running()) }))
	}
}

// Store adds the figures of a store; to be called once.
func (m *Metrics) Store(figures func() []Figure) { m.registry.MustRegister(storeFigures(figures)) }

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// answered names the series of a request.
type answered struct {
	protocol, method, route string
	status                  int
}

type answeredSeries struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

func (m *Metrics) request(protocol, method, route string, status int, took time.Duration) {
	key := answered{protocol, methodName(method), route, status}
	found, ok := m.series.Load(key)
	if !ok {
		found, _ = m.series.LoadOrStore(key, &answeredSeries{
			count:    m.requests.WithLabelValues(key.protocol, key.method, key.route, strconv.Itoa(status)),
			duration: m.durations.WithLabelValues(key.protocol)})
	}
	series := found.(*answeredSeries)
	series.count.Inc()
	series.duration.Observe(took.Seconds())
}

// limited counts a request that a limit refused.
func (m *Metrics) limited(of string) {
	if m != nil {
		m.refused.WithLabelValues(of).Inc()
	}
}

// Unreadable counts rows that could not be read; see service.Options.Unreadable.
func (m *Metrics) Unreadable(rows int) { m.unreadable.Add(float64(rows)) }

// Checkpoint counts what came of signing one; see service.Options.Checkpointed.
func (m *Metrics) Checkpoint(outcome string) { m.signed.WithLabelValues(outcome).Inc() }

func newCosigned() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consentd_witness_requests_total",
		Help: "Checkpoints that witnesses were asked to cosign; forked: the witness has seen another ledger, or more of it."},
		[]string{"witness", "outcome"})
}

// Cosigned counts what came of asking a witness; see service.Options.Witnessed.
func (m *Metrics) Cosigned(witness, outcome string) {
	m.cosigned.WithLabelValues(witness, outcome).Inc()
}

// Witnesses adds how far each of some witnesses is behind; to be called once.
func (m *Metrics) Witnesses(names []string, lags func() []service.WitnessLag) {
	for _, name := range names { // shown before the first one is counted
		for _, outcome := range []string{service.CosignDone, service.CosignForked, service.CosignUnknown,
			service.CosignFailed} {
			m.cosigned.WithLabelValues(name, outcome)
		}
	}
	m.registry.MustRegister(witnessFigures(lags))
}

// witnessFigures reads how far witnesses are behind when somebody asks for the metrics.
type witnessFigures func() []service.WitnessLag

var (
	witnessEntries = prometheus.NewDesc("consentd_witness_behind_entries",
		"The most entries that a witness is behind the newest checkpoint of a ledger.", []string{"witness"}, nil)
	witnessLedgers = prometheus.NewDesc("consentd_witness_behind_ledgers",
		"Ledgers of which a witness has not cosigned the newest checkpoint.", []string{"witness"}, nil)
	witnessNever = prometheus.NewDesc("consentd_witness_never_ledgers",
		"Ledgers of which a witness has never cosigned any.", []string{"witness"}, nil)
)

// Describe implements prometheus.Collector.
func (witnessFigures) Describe(out chan<- *prometheus.Desc) {
	out <- witnessEntries
	out <- witnessLedgers
	out <- witnessNever
}

// Collect implements prometheus.Collector.
func (w witnessFigures) Collect(out chan<- prometheus.Metric) {
	for _, lag := range w() {
		gauge := func(d *prometheus.Desc, value int64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), lag.Witness)
		}
		gauge(witnessEntries, lag.Entries)
		gauge(witnessLedgers, lag.Ledgers)
		gauge(witnessNever, lag.Never)
	}
}

// Batch counts a batch that was written; see service.Options.Observe.
func (m *Metrics) Batch(requests int, took time.Duration, err error) {
	outcome := "committed"
	if err != nil {
		outcome = "failed"
	}
	m.batches.WithLabelValues(outcome).Inc()
	m.batchSize.Observe(float64(requests))
	m.batchTime.Observe(took.Seconds())
}
