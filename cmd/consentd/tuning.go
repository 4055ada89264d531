package main

import (
	"os"
	"runtime/debug"
)

// The live heap is some megabytes, so Go's default collects many times a second. It may grow further, up to a soft
// limit that keeps the whole process below 150 MiB. The memory of large requests (56 MiB, see package server) stays
// below that limit: a heap that lives beyond it is collected all the time.
const (
	collectAt = 400      // percent over the live heap
	softLimit = 80 << 20 // bytes
)

// tuneCollector sets the garbage collector, unless the operator did by GOGC or GOMEMLIMIT.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
}
