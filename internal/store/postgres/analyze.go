package postgres

import "context"

// Analyze tells the planner what the tables hold now. The database would find out by itself, after a while; so where it
// fails, the log says so and nothing else happens. analyzing is called before each table.
func Analyze(ctx context.Context, o Options, analyzing func(table string)) {
	e := newEngine(o)
	c, err := e.admin(ctx)
	if err == nil {
		defer func() { _ = c.Close(context.Background()) }()
	}
	for i := 0; i < len(tables) && err == nil; i++ {
		analyzing(tables[i].name)
		_, err = c.Exec(ctx, "ANALYZE "+tables[i].name)
	}
	if err != nil && ctx.Err() == nil {
		e.log.Warn("the new tables could not be analyzed; the database does so by itself after a while", "error", err)
	}
}
