package store

// figures are the pool's and the engine's own.
func (e *postgresEngine) figures() []Figure {
	pool, gone := e.pool.Load().Stat(), 0.0
	if e.gone.Load() != nil {
		gone = 1
	}
	return []Figure{
		{"consentd_db_connections", "Open connections to the database.", false, float64(pool.TotalConns())},
		{"consentd_db_connections_busy", "Connections that are in use.", false, float64(pool.AcquiredConns())},
		{"consentd_db_connections_most", "Connections that there may be.", false, float64(pool.MaxConns())},
		{"consentd_db_acquires_total", "Times that a connection was taken from the pool.", true, float64(pool.AcquireCount())},
		{"consentd_db_acquire_waits_total", "Times that a connection had to be waited for.", true, float64(pool.EmptyAcquireCount())},
		{"consentd_db_acquire_wait_seconds_total", "Time that connections were waited for.", true, pool.EmptyAcquireWaitTime().Seconds()},
		{"consentd_db_connects_total", "Connections that were made.", true, float64(pool.NewConnsCount())},
		{"consentd_db_retries_total", "Transactions that were run again, since they had certainly not been done.", true, float64(e.counts.retries.Load())},
		{"consentd_db_unknown_total", "Commits without an answer.", true, float64(e.counts.unknown.Load())},
		{"consentd_db_pools_replaced_total", "Times that all connections were given up, since the database did not answer.", true, float64(e.counts.replaced.Load())},
		{"consentd_db_slow_total", "Round trips of more than half a second.", true, float64(e.counts.slow.Load())},
		{"consentd_db_gone", "1 where the database does not answer, else 0.", false, gone},
	}
}
