package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consentd/consentd/internal/store/sqlite"
)

// Free space that the data folder should have: the write-ahead log alone may take 128 MiB.
const (
	roomNeeded = 256 << 20
	roomWanted = 2 << 30
)

// Open files that the server should be allowed: one a connection, and the database's.
const (
	filesNeeded = 1024
	filesWanted = maxConns + 256
)

// folder checks the data folder, and reports whether there is a database to look at.
func (d *doctor) folder() bool {
	dir := d.cfg.Data
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if above := nearestFolder(dir); unix.Access(above, unix.W_OK|unix.X_OK) != nil {
			d.fail("data folder", dir+" is not there, and this user may not make it in "+above,
				"make it, chown it to the user of the server, and run as that user; or name another with --data")
			return false
		}
		d.warn("data folder", dir+" is not there", "start consentd serve, which makes it, or name another with --data")
		return false
	}
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err != nil {
		d.fail("data folder", fmt.Sprintf("%s: %v", dir, err), "name the data folder with --data")
		return false
	}
	d.ok("data folder", dir)
	if sqlite.Moved(dir) {
		d.fail("moved", "its data was moved into PostgreSQL, and no server starts on it",
			"name the database with --database (CONSENTD_DATABASE_URL); the folder is of no use any more")
	}
	mayRead := d.access(dir, info)
	d.diskSpace(dir)
	if kind, advice := fileSystem(dir); advice != "" {
		d.warn("file system", kind, advice)
	} else {
		d.ok("file system", kind)
	}
	d.lock(dir)
	if !mayRead {
		d.warn("database", "not looked at", "mend what failed above first")
		return false
	}
	if file, err := os.Stat(filepath.Join(dir, sqlite.FileName)); errors.Is(err, fs.ErrNotExist) || err == nil &&
		file.Size() == 0 {
		d.warn("database", "there is no "+sqlite.FileName+" with anything in it yet",
			"start consentd serve, or name another folder with --data")
		return false
	}
	return true
}

// nearestFolder gives the first folder on the way up that is there.
func nearestFolder(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// access checks that the server may write the folder and that others may not read it, and reports whether this user may
// read it.
func (d *doctor) access(dir string, info fs.FileInfo) bool {
	const check = "permissions"
	mode := info.Mode().Perm()
	switch {
	case mode&0o007 != 0:
		d.fail(check, fmt.Sprintf("everybody on this machine may enter the folder (mode %04o)", mode), "chmod 700 "+dir)
	case mode&0o070 != 0:
		d.warn(check, fmt.Sprintf("the group may enter the folder (mode %04o)", mode),
			"chmod 700 "+dir+", unless the group is meant")
	default:
		d.ok(check, fmt.Sprintf("only its owner may enter the folder (mode %04o)", mode))
	}
	mayRead, mayWrite := true, true
	for _, path := range []string{dir, filepath.Join(dir, sqlite.FileName)} {
		err := unix.Access(path, unix.R_OK|unix.W_OK)
		if err == nil || errors.Is(err, unix.ENOENT) {
			continue
		}
		d.fail("writable", fmt.Sprintf("%s: %v", path, err), "run as the user of the server, chown it to that user, or "+
			"chmod u+rwX it where it is that user's already")
		mayWrite, mayRead = false, mayRead && unix.Access(path, unix.R_OK) == nil
	}
	if mayWrite {
		d.ok("writable", "this user may write it")
	}
	return mayRead
}

func (d *doctor) diskSpace(dir string) {
	const check = "disk space"
	free, err := freeSpace(dir)
	found := fmt.Sprintf("%d MiB free", free>>20)
	switch {
	case err != nil:
		d.warn(check, err.Error(), "see that the disk has room")
	case free < roomNeeded:
		d.fail(check, found, "make room now: on a full disk the server only reads")
	case free < roomWanted:
		d.warn(check, found, "make room soon")
	default:
		d.ok(check, found)
	}
}

func (d *doctor) lock(dir string) {
	running, err := sqlite.ServerOn(dir)
	switch {
	case err != nil:
		d.fail("lock", err.Error(), "run as the user of the server")
	case running:
		d.ok("lock", "a server runs on this folder")
	default:
		d.ok("lock", "no server runs on this folder")
	}
}

// limits checks this process's limits; the server's may differ where something else starts it.
func (d *doctor) limits() {
	const advice = "raise it where the server is started (systemd: LimitNOFILE=, shell: ulimit -n)"
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		d.warn("open files", err.Error(), advice)
		return
	}
	found := fmt.Sprintf("at most %d", files.Cur)
	switch {
	case files.Cur < filesNeeded:
		d.fail("open files", found, advice)
	case files.Cur < filesWanted:
		d.warn("open files", found+fmt.Sprintf("; the server takes up to %d connections", maxConns), advice)
	default:
		d.ok("open files", found)
	}
	var size unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &size); err == nil && size.Cur < 1<<40 {
		d.warn("file size", fmt.Sprintf("a file may have %d MiB at most", size.Cur>>20),
			"lift the limit where the server is started (ulimit -f unlimited)")
	}
}
