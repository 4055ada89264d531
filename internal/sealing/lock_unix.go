//go:build unix

package sealing

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFolder waits until it has a folder's lock, by itself to change key files (syscall.LOCK_EX) or with others to read
// them (syscall.LOCK_SH). It holds between goroutines as between processes. The folder itself is locked: a lock file
// would have an owner of its own, and the key file is replaced while the lock is held.
func lockFolder(dir string, how int) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	for {
		err = syscall.Flock(int(folder.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("lock the folder: %w", err)
	}
	return func() { _ = folder.Close() }, nil
}
