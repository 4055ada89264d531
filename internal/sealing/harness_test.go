package sealing

// counted gives bytes that count up, as the vectors have them.
func counted(start, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(start + i)
	}
	return b
}
