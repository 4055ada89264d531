package engine

// DroppedCount is the name of the kept count of entries that retention has dropped: the sequence begins behind them.
const DroppedCount = "dropped"

// AddCount adds $3 to the kept count named $2 of an organization, $1. The store does so with the events that it writes,
// and PostgreSQL's engine where it drops a month of them.
const AddCount = `/* add_count */ INSERT INTO counts (organization_id, name, amount) VALUES ($1, $2, $3)
ON CONFLICT (organization_id, name) DO UPDATE SET amount = counts.amount + excluded.amount`
