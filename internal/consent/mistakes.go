package consent

// MaxMistakes is the most mistakes of one request that are told at once.
const MaxMistakes = 100

// mistakes gathers what is wrong with a request: the first mistake, or all of them.
type mistakes struct {
	all   bool
	found []*Error
}

// add notes an error, where it is one; field makes the caller's words of the place that it names, nil leaves them.
func (m *mistakes) add(err error, field func(noun string) string) {
	if err == nil {
		return
	}
	e := *AsError(err)
	if field != nil {
		e.Field = field(e.Field)
	}
	m.found = append(m.found, &e)
}

// enough tells that nobody wants to know of more.
func (m *mistakes) enough() bool {
	return len(m.found) > 0 && !m.all || len(m.found) >= MaxMistakes
}

// err gives the first mistake, with the others where all are asked for. One that is no mistake of the request's own,
// such as that the actor may not, goes alone.
func (m *mistakes) err() error {
	if len(m.found) == 0 {
		return nil
	}
	first := *m.found[0]
	if !m.all {
		return &first
	}
	for _, e := range m.found {
		if e.Kind != Invalid && e.Kind != Unprocessable {
			return e
		}
	}
	first.More = m.found[1:min(len(m.found), MaxMistakes)]
	return &first
}
