package service

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
)

// refuseSecond refuses to write a new key for somebody who had one: its row is gone then, and with a second one nobody
// would see that what the first has sealed and committed is lost. Only those are looked at who were on record before
// and have no key, which are few: their records say nothing of them.
func (s *sealer) refuseSecond(ctx context.Context) error {
	c := &s.changes
	if len(c.SubjectSecrets) == 0 {
		return nil
	}
	fresh := make(map[consent.SubjectKey]bool, len(c.Subjects)+len(c.Organizations))
	for i := range c.Subjects {
		if c.Subjects[i].Record.Version == 1 {
			fresh[consent.SubjectKey{Organization: c.Subjects[i].Organization, Subject: c.Subjects[i].ID}] = true
		}
	}
	for i := range c.Organizations {
		fresh[consent.SubjectKey{Organization: c.Organizations[i].ID}] = true
	}
	for i := range c.SubjectSecrets {
		of := c.SubjectSecrets[i].SubjectKey
		if fresh[of] {
			continue
		}
		used, err := keyUsed(ctx, s.t.tx, of)
		if err != nil {
			return err
		}
		if used {
			return fmt.Errorf("the key of subject %s of organization %s is gone, though something is on record that needs "+
				"it; nothing is written by another one: restore its row of subject_keys from a backup", of.Subject,
				of.Organization)
		}
	}
	return nil
}

// keyUsed tells whether anything is on record that is sealed by a subject's key, or committed with it.
func keyUsed(ctx context.Context, r Reader, of consent.SubjectKey) (bool, error) {
	entries, err := r.EntriesOf(ctx, of, consent.NoID, 1)
	if err != nil || len(entries) > 0 || of.Subject == consent.NoID {
		return len(entries) > 0, err
	}
	one := []consent.SubjectKey{of}
	consents, err := r.ConsentsOf(ctx, one)
	if err != nil {
		return false, err
	}
	for _, c := range consents[of] {
		if c.Last != consent.NoID { // else what led to it is of who was merged into the subject
			return true, nil
		}
	}
	names, err := r.Names(ctx, one)
	if err != nil {
		return false, err
	}
	for i := range names[of] {
		if names[of][i].First() == of {
			return true, nil
		}
	}
	return false, nil
}
