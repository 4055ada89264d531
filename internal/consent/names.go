package consent

// IdentifierChange asks to give a subject, named by its own id, an identifier or to take one away.
type IdentifierChange struct {
	Subject     ID
	Project     ID // of a ProjectUserID; NoID: the default one
	Identifier  Identifier
	If          IfMatch // the tag of a SubjectView
	Idempotency Idempotency
}

// Name gives a subject an identifier as somebody asked for; changed is false where it has it. Errors: Conflict, where
// it is somebody else's, or the subject has another one of a kind of which it may have one, or too many.
func (p *People) Name(organization, subject ID, id Identifier) (changed bool, err error) {
	switch owner := p.Owner(organization, id); {
	case owner == subject:
		return false, nil
	case owner != NoID:
		return false, errOthers
	case p.Attach(organization, subject, id):
		return true, nil
	case id.Kind.single():
		return false, Errorf(Conflict, "", "this subject has another identifier of that kind")
	}
	return false, Errorf(Conflict, "", "this subject has %d identifiers of that kind, and gets no more", maxOfKind)
}

// CheckUnname refuses to take an identifier away from a subject. Errors: NotFound, where nobody has it; Conflict, where
// it is somebody else's, or the subject's own id.
func (p *People) CheckUnname(organization, subject ID, id Identifier) error {
	switch owner := p.Owner(organization, id); {
	case owner == NoID:
		return Errorf(NotFound, "", "this subject has no such identifier")
	case owner != subject:
		return errOthers
	}
	for _, has := range p.known[SubjectKey{organization, subject}] {
		if has == id {
			return nil
		}
	}
	return Errorf(Conflict, "", "it is the subject's own id, or that of somebody who was merged into it")
}

var errOthers = Errorf(Conflict, "", "this identifier belongs to another subject")
