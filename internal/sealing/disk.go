package sealing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// stagedSuffix ends the name of the file that is about to become the key file. Only who holds the folder's lock writes
// it, so one that is there already was left by a process that died.
const stagedSuffix = ".new"

// stage writes a text beside the key file and to the disk, with the mode and the owner of the file that it follows, or
// mode 0600 where it follows none.
func stage(path string, text []byte, follows fs.FileInfo) (err error) {
	staged := path + stagedSuffix
	if err := discard(staged); err != nil {
		return fmt.Errorf("remove what was left of an earlier change: %w", err)
	}
	file, err := os.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write beside the key file: %w", err)
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = discard(staged)
		}
	}()
	if follows != nil {
		if err := likeness(file, follows); err != nil {
			return err
		}
	}
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("write beside the key file: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write beside the key file: %w", err)
	}
	return nil
}

// likeness gives a file the owner and the mode of another, so that who could read that one can read this one.
func likeness(file *os.File, other fs.FileInfo) error {
	own, err := file.Stat()
	if err != nil {
		return err
	}
	is, ok1 := own.Sys().(*syscall.Stat_t)
	should, ok2 := other.Sys().(*syscall.Stat_t)
	if ok1 && ok2 && (is.Uid != should.Uid || is.Gid != should.Gid) {
		if err := file.Chown(int(should.Uid), int(should.Gid)); err != nil {
			return fmt.Errorf("keep the owner of the key file (run this as that user): %w", err)
		}
	}
	return file.Chmod(other.Mode().Perm())
}

// publish gives the staged text the name of the key file, where nothing has it yet; false where another one has.
func publish(path string) (made bool, err error) {
	staged := path + stagedSuffix
	err = os.Link(staged, path) // which replaces nothing, even where the lock does not hold across machines
	switch {
	case err == nil:
		err = os.Remove(staged)
	case errors.Is(err, fs.ErrExist):
		return false, errors.Join(discard(staged), syncFolder(filepath.Dir(path)))
	default: // some file systems have no hard links
		err = os.Rename(staged, path)
	}
	if err != nil {
		return false, fmt.Errorf("put the key file in its place: %w", err)
	}
	return true, syncFolder(filepath.Dir(path))
}

// replace puts a text in the place of the key file. With shredding, the old file's bytes are overwritten.
func replace(path string, text []byte, shredding bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var old *os.File
	if shredding {
		if old, err = openToShred(path); err != nil {
			return fmt.Errorf("open the old file to overwrite it: %w", err)
		}
		defer func() { _ = old.Close() }()
	}
	if err := stage(path, text, info); err != nil {
		return err
	}
	if err := os.Rename(path+stagedSuffix, path); err != nil {
		return errors.Join(fmt.Errorf("put the key file in its place: %w", err), discard(path+stagedSuffix))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if shredding {
		return shred(old)
	}
	return nil
}

// openToShred opens for writing a file that perhaps nobody may write.
func openToShred(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if !errors.Is(err, fs.ErrPermission) {
		return file, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
}

// discard removes a file that may not be there, and overwrites it.
func discard(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return os.Remove(path)
	}
	file, err := openToShred(path)
	if err != nil {
		return os.Remove(path) // it is another user's, but the folder is ours
	}
	defer func() { _ = file.Close() }()
	if err := os.Remove(path); err != nil {
		return err
	}
	return shred(file)
}

// shred overwrites a file that has no name any more. One that has is left alone: after a crash in publish the staged
// file is the key file itself, and a hard link of the operator's is a copy that is meant to stay.
func shred(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("overwrite the old file: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Nlink != 0 {
		return nil
	}
	if _, err := file.WriteAt(make([]byte, info.Size()), 0); err != nil {
		return fmt.Errorf("overwrite the old file: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("overwrite the old file: %w", err)
	}
	return nil
}

// syncFolder makes names in a folder last.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the folder to the disk: %w", err)
	}
	defer func() { _ = folder.Close() }()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("write the folder to the disk: %w", err)
	}
	return nil
}

// withoutPath takes off what the caller says better.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
