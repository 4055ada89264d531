package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
)

// movedFile is put into a data folder whose move has come to its end: a server that started on it again would take
// decisions that nobody finds.
const movedFile = "moved-to-postgres"

// Moved tells whether a data folder's move has come to its end, so that nobody should use it any more.
func Moved(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, movedFile))
	return err == nil
}

// MarkMoved puts down in a data folder that its move has come to its end: Open refuses it from now on.
func MarkMoved(dir string) error {
	const text = "The data of this folder was moved into a PostgreSQL database; consentd serve refuses it.\n" +
		"Remove this file to use the folder all the same.\n"
	if err := os.WriteFile(filepath.Join(dir, movedFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("everything was moved, but the data folder could not be marked: %w", err)
	}
	return nil
}
