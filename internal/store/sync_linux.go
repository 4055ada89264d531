package store

import (
	"errors"

	"golang.org/x/sys/unix"
)

const canSyncData = true

// syncData makes a file's bytes durable, and of what is known about the file what it takes to find them, such as its length (fdatasync(2)).
// SQLite syncs by it where it was built to; this one was built to use fsync, which waits for the time of the last change
// too: on a file system with a journal that is a commit of the journal with each of ours.
func syncData(fd int) error {
	for {
		if err := unix.Fdatasync(fd); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
