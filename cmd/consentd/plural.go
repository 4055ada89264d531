package main

import "fmt"

// plural says how many there are of something: 1 event, 2 events.
func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
