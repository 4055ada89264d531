package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// MaxData is the most bytes of a subject's data.
const MaxData = 64 << 10

var subjectType = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// CheckSubjectType checks the type of a subject.
func CheckSubjectType(typ string) error {
	if !subjectType.MatchString(typ) {
		return Errorf(Invalid, "type", "must be 1 to 64 letters, digits, '_', '.' or '-'")
	}
	return nil
}

// CheckSubjectName checks the type and the name of a subject.
func CheckSubjectName(typ, name string) (Identifier, error) {
	if err := CheckSubjectType(typ); err != nil {
		return Identifier{}, err
	}
	name, err := Normalize(TypedKind(typ), name)
	if err != nil {
		return Identifier{}, Errorf(Invalid, "id", "%s", AsError(err).Msg)
	}
	if strings.Contains(name, "/") && typ != DefaultSubjectType {
		return Identifier{}, Errorf(Invalid, "id", "must not contain a slash")
	}
	return Identifier{Kind: TypedKind(typ), Value: name}, nil
}

// CheckData refuses with Invalid a JSON object that is longer than MaxData.
func CheckData(field string, data []byte) error {
	if len(data) > MaxData {
		return Errorf(Invalid, field, "must have %d KiB at most", MaxData>>10)
	}
	return nil
}

// ErrNoSubject is said of a person who is not known.
var ErrNoSubject = &Error{Kind: NotFound, Msg: "subject not found"}

// Apply gives the data that a save leaves on record.
func (m SaveMode) Apply(old, data []byte) ([]byte, error) {
	if m == Rewrite {
		return data, nil
	}
	merged, err := mergeObjects(old, data)
	if err != nil {
		return nil, Errorf(Invalid, "data", "must be a JSON object")
	}
	if len(merged) > MaxData {
		return nil, Errorf(Invalid, "data", "would have more than %d KiB together with what is on record", MaxData>>10)
	}
	return merged, nil
}

// mergeObjects replaces each member of old by the member of that name in data, and adds the others
// behind; values keep their text.
func mergeObjects(old, data []byte) ([]byte, error) {
	before, err := members(old)
	if err != nil {
		return nil, err
	}
	after, err := members(data)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(before))
	for i, m := range before {
		at[m.name] = i
	}
	for _, m := range after {
		if i, ok := at[m.name]; ok {
			before[i].value = m.value
		} else {
			before = append(before, m)
		}
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range before {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(appendString(nil, m.name))
		out.WriteByte(':')
		out.Write(m.value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

type member struct {
	name  string
	value json.RawMessage
}

// members takes a JSON object apart, in its order.
func members(object []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object")
	}
	var out []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	_, err := d.Token()
	return out, err
}
