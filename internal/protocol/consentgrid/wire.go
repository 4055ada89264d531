package consentgrid

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// saveRequest is the body of POST and PATCH.
type saveRequest struct {
	ID   *string        `json:"id"`
	Type *string        `json:"type"`
	Data jsontext.Value `json:"data"` // its text is kept: member order and numbers as given
}

// record is the answer of POST and PATCH.
type record struct {
	ID          string         `json:"id"`
	Type        string         `json:"type"`
	Data        jsontext.Value `json:"data"`
	Version     int            `json:"version"`
	VersionTime time.Time      `json:"versionTime"`
}

// envelope is the vendor's way to read a subject (subjects_model).
type envelope struct {
	ID          reference      `json:"id"`
	Version     int            `json:"version"`
	VersionTime time.Time      `json:"versionTime"`
	By          reference      `json:"by"` // who made this version
	Data        jsontext.Value `json:"data"`
}

type reference struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// subjectList is the answer of a list; Total counts all that match.
type subjectList struct {
	Total    int64      `json:"total"`
	Subjects []envelope `json:"subjects"`
}

// dataFor gives the data of a request to the subject that the path names; id is normalised, and
// empty where it is to be made. The data is in its shortest form: no white
// space, no escape in a string that needs none. Errors: Invalid, with the field.
func (r *saveRequest) dataFor(typ, id string) ([]byte, error) {
	switch {
	case r == nil:
		return nil, consent.Errorf(consent.Invalid, "", "the request body must be a JSON object")
	case r.ID != nil && id == "":
		return nil, consent.Errorf(consent.Invalid, "id",
			"must be absent: this call makes the id; to choose one, put it into the path")
	case r.ID != nil && !isID(*r.ID, id):
		return nil, consent.Errorf(consent.Invalid, "id", "must be the id in the path")
	case r.Type != nil && *r.Type != typ:
		return nil, consent.Errorf(consent.Invalid, "type", "must be the type in the path")
	case r.Data == nil:
		return []byte("{}"), nil
	case r.Data.Kind() != '{':
		return nil, consent.Errorf(consent.Invalid, "data", "must be a JSON object")
	}
	if err := r.Data.Format(); err != nil {
		return nil, consent.Errorf(consent.Invalid, "data", "is not valid JSON")
	}
	return r.Data, nil
}

// isID tells whether an id as it was given is the normalised one.
func isID(given, id string) bool {
	normal, err := normalID(given)
	return err == nil && normal == id
}

func recordOf(s *consent.SubjectView) record {
	return record{ID: s.Name, Type: s.Type, Data: dataOf(s), Version: s.Record.Version,
		VersionTime: s.Record.ChangedAt.UTC()}
}

func envelopeOf(s *consent.SubjectView) envelope {
	return envelope{
		ID:          reference{ID: s.Name, Type: s.Type},
		Version:     s.Record.Version,
		VersionTime: s.Record.ChangedAt.UTC(),
		By:          reference{ID: s.Record.ChangedBy.String(), Type: "apikey"},
		Data:        dataOf(s),
	}
}

func dataOf(s *consent.SubjectView) jsontext.Value {
	if len(s.Record.Data) == 0 {
		return jsontext.Value("{}")
	}
	return s.Record.Data
}
