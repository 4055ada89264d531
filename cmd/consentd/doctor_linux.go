package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func freeSpace(dir string) (bytes uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

const (
	overNetwork = "keep the data folder on a local disk: locks and fsync over a network are not to be relied on"
	vanishes    = "put the data folder on a disk or a volume that outlives this machine or container"
)

// fileSystems are those that a data folder should not be on.
var fileSystems = map[int64]struct{ name, advice string }{
	unix.NFS_SUPER_MAGIC:       {"NFS", overNetwork},
	unix.SMB_SUPER_MAGIC:       {"SMB", overNetwork},
	unix.CIFS_SUPER_MAGIC:      {"CIFS", overNetwork},
	unix.SMB2_SUPER_MAGIC:      {"SMB2", overNetwork},
	unix.CEPH_SUPER_MAGIC:      {"Ceph", overNetwork},
	unix.AFS_SUPER_MAGIC:       {"AFS", overNetwork},
	unix.V9FS_MAGIC:            {"9p", overNetwork},
	unix.FUSE_SUPER_MAGIC:      {"FUSE", "see that what is behind it is a local disk and honours fsync"},
	unix.TMPFS_MAGIC:           {"tmpfs, in memory", vanishes},
	unix.RAMFS_MAGIC:           {"ramfs, in memory", vanishes},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay, a container's own layer", vanishes},
}

// fileSystem names a file system, with advice where it is not one for data.
func fileSystem(dir string) (kind, advice string) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err.Error(), "see that the data folder is on a local disk"
	}
	if bad, ok := fileSystems[int64(uint32(st.Type))]; ok {
		return bad.name, bad.advice
	}
	return fmt.Sprintf("of a local kind (%#x)", uint32(st.Type)), ""
}
