package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// Opener decrypts what a store has of people, for tools that look at one beside servers. It is for use at once from
// many goroutines.
type Opener struct{ keys *vault }

// NewOpener gives one by the keys of a key file; reload, where set, is asked at a key that they lack.
func NewOpener(keys *sealing.Ring, reload ReloadKeys) *Opener {
	return &Opener{newVault(newSecrets(keys, rand.Reader, reload, slog.New(slog.DiscardHandler)))}
}

// Events decrypts the idents of events of an organization, in the state that they were read in. One that cannot be
// decrypted is left empty. Errors: those of the store, and of a key that the key file lacks.
func (o *Opener) Events(ctx context.Context, r Reader, organization consent.ID, events []consent.Event) error {
	return o.reader(r).events(ctx, organization, events, true)
}

func (o *Opener) reader(r Reader) *openedReader { return &openedReader{Reader: r, keys: o.keys} }

// opener opens texts of several subjects, whose keys are read at once.
type opener struct {
	ctx      context.Context
	reader   *openedReader
	subjects map[consent.SubjectKey]*sealing.Subject
	keys     []consent.SubjectKey
}

func (o *openedReader) opener(ctx context.Context) *opener {
	return &opener{ctx: ctx, reader: o, subjects: map[consent.SubjectKey]*sealing.Subject{}}
}

// want notes whose key is needed.
func (p *opener) want(of consent.SubjectKey) {
	if _, noted := p.subjects[of]; !noted {
		p.subjects[of] = nil
		p.keys = append(p.keys, of)
	}
}

// know opens a key that was read already; nil: it is to be read.
func (p *opener) know(of consent.SubjectKey, wrapped []byte) (err error) {
	if _, noted := p.subjects[of]; noted || wrapped == nil {
		p.want(of)
		return nil
	}
	p.subjects[of], err = p.reader.keys.open(of, wrapped)
	return err
}

// load reads the keys.
func (p *opener) load() error {
	found, err := p.reader.keys.subjectsOf(p.ctx, p.reader.Reader, p.keys)
	for i := range found {
		p.subjects[p.keys[i]] = found[i]
	}
	return err
}

// wantNames notes whose keys names need. Where the store gave a key with a name, it is opened at once.
func (p *opener) wantNames(names []*consent.OwnedIdentifier) error {
	for _, n := range names {
		if err := p.know(n.First(), n.Secret); err != nil {
			return err
		}
	}
	return nil
}

// openNames decrypts names, whose keys are loaded.
func (p *opener) openNames(names []*consent.OwnedIdentifier) error {
	for _, n := range names {
		value, err := p.open(n.First(), sealing.LabelIdentifier, []byte(n.Value), n.Sealed)
		if err != nil {
			return fmt.Errorf("an identifier of subject %s: %w", n.Subject, err)
		}
		n.Value, n.Sealed, n.Secret = string(value), nil, nil
	}
	return nil
}

// errUnreadable is said of what cannot be decrypted though the key file has its key.
var errUnreadable = errors.New("it cannot be decrypted: it, or its key, was changed or is gone")

// open decrypts a text in its own memory.
func (p *opener) open(of consent.SubjectKey, label sealing.Label, associated, text []byte) ([]byte, error) {
	subject := p.subjects[of]
	if subject == nil {
		return nil, errUnreadable
	}
	text, err := subject.OpenInPlace(label, associated, text)
	if err != nil {
		return nil, errUnreadable
	}
	return text, nil
}

// sealedRecord is a record with whose it is.
type sealedRecord struct {
	of     consent.SubjectKey
	record *consent.Record
}

// recordLabels are those of the two texts of a record.
type recordLabels struct{ data, profile sealing.Label }

var (
	currentRecord  = recordLabels{sealing.LabelData, sealing.LabelProfile}
	archivedRecord = recordLabels{sealing.LabelArchive, sealing.LabelArchive}
)

// placeOf names the place of a text of a record, so that none can be moved to another.
func placeOf(version int, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(version)), text...)
}

const dataText, profileText = "data", "profile"

// openRecord decrypts the record of one subject.
func (o *openedReader) openRecord(ctx context.Context, r sealedRecord, labels recordLabels) error {
	opener, one := o.opener(ctx), []sealedRecord{r}
	opener.wantRecords(one)
	if err := opener.load(); err != nil {
		return err
	}
	return opener.openRecords(one, labels)
}

// wantRecords notes whose keys records need. One without data has none stored.
func (p *opener) wantRecords(records []sealedRecord) {
	for _, r := range records {
		if r.record.Data != nil || r.record.Profile != nil {
			p.want(r.of)
		}
	}
}

// openRecords decrypts records, whose keys are loaded.
func (p *opener) openRecords(records []sealedRecord, labels recordLabels) error {
	for _, r := range records {
		for _, text := range []struct {
			label sealing.Label
			name  string
			of    *[]byte
		}{{labels.data, dataText, &r.record.Data}, {labels.profile, profileText, &r.record.Profile}} {
			if *text.of == nil {
				continue
			}
			var err error
			if *text.of, err = p.open(r.of, text.label, placeOf(r.record.Version, text.name), *text.of); err != nil {
				return fmt.Errorf("the %s of subject %s: %w", text.name, r.of.Subject, err)
			}
		}
		r.record.Data = orEmpty(r.record.Data)
	}
	return nil
}
