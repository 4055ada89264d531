//go:build !linux

package main

import (
	"errors"
	"runtime"
)

func freeSpace(string) (uint64, error) {
	return 0, errors.New("the free space is not known on " + runtime.GOOS)
}

// fileSystem does not know the kinds here.
func fileSystem(string) (kind, advice string) {
	return "its kind is not known on " + runtime.GOOS, "see that the data folder is on a local disk"
}
