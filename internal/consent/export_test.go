package consent

// KeyTextForTest writes a well-formed key that nobody made.
func KeyTextForTest(organization, id ID) string {
	return keyText(organization, id, [secretBytes]byte{1}, false)
}
