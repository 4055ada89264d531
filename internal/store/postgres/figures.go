package postgres

import "github.com/consentd/consentd/internal/store/engine"

// Figures gives those of the pool and of the engine.
func (e *Engine) Figures() []engine.Figure {
	gauge := func(name, help string, value float64) engine.Figure {
		return engine.Figure{Name: name, Help: help, Value: value}
	}
	count := func(name, help string, value int64) engine.Figure {
		return engine.Figure{Name: name, Help: help, Counts: true, Value: float64(value)}
	}
	pool, gone := e.pool.Load().Stat(), 0.0
	if e.outage.Load() != nil {
		gone = 1
	}
	return []engine.Figure{
		gauge("consentd_db_connections", "Open connections to the database.", float64(pool.TotalConns())),
		gauge("consentd_db_connections_busy", "Connections that are in use.", float64(pool.AcquiredConns())),
		gauge("consentd_db_connections_most", "Connections that there may be.", float64(pool.MaxConns())),
		count("consentd_db_acquires_total", "Times that a connection was taken from the pool.", pool.AcquireCount()),
		count("consentd_db_acquire_waits_total", "Times that a connection had to be waited for.", pool.EmptyAcquireCount()),
		{Name: "consentd_db_acquire_wait_seconds_total", Help: "Time that connections were waited for.", Counts: true,
			Value: pool.EmptyAcquireWaitTime().Seconds()},
		count("consentd_db_connects_total", "Connections that were made.", pool.NewConnsCount()),
		count("consentd_db_retries_total", "Transactions that were run again, since they had certainly not been done.",
			e.counts.retries.Load()),
		count("consentd_db_unknown_total", "Commits without an answer.", e.counts.unknown.Load()),
		count("consentd_db_pools_replaced_total",
			"Times that all connections were given up, since the database did not answer.", e.counts.replaced.Load()),
		count("consentd_db_slow_total", "Round trips of more than half a second.", e.counts.slow.Load()),
		gauge("consentd_db_gone", "1 where the database does not answer, else 0.", gone),
	}
}
