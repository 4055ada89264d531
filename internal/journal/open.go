package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openOrMake opens a file, or makes an empty one, mode 0600.
func openOrMake(path string, flags int) (*os.File, fs.FileInfo, error) {
	file, info, err := openThere(path, flags)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, info, err
	}
	made, err := os.OpenFile(path, flags|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if file, info, err = seen(made); err != nil {
		return nil, nil, err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// openThere opens a file that is there. Errors: fs.ErrNotExist where nothing is, which a link to nothing is not: what
// it leads to may be on a disk that is not mounted.
func openThere(path string, flags int) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0)
	if err == nil {
		return seen(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, linked := os.Lstat(path); linked == nil {
			err = errors.New("it is a link to a file that is not there")
		}
	}
	return nil, nil, err
}

// seen looks what was opened. Who may write it may have a second history signed, or people come back.
func seen(file *os.File) (*os.File, fs.FileInfo, error) {
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("is no regular file")
	case info.Mode().Perm()&0o022 != 0:
		err = fmt.Errorf("others than its owner may write it (mode %04o): look whether it is as it was, then chmod 600 it",
			info.Mode().Perm())
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
