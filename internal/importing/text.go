package importing

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

var endOfFile = io.EOF

// maxWindow is how far back a zstd file may refer, which is kept in memory: what zstd -19 --long=26 makes.
const maxWindow = 64 << 20

// EncodingError says where a text is not in the encoding that it was taken for. It holds the byte and no text.
type EncodingError struct {
	Line int64
	Byte byte
}

func (e *EncodingError) Error() string {
	if e.Byte == 0 {
		return fmt.Sprintf("line %d: there is a zero byte; is the file UTF-16? give --encoding utf-16le or utf-16be", e.Line)
	}
	return fmt.Sprintf("line %d: not valid UTF-8 (byte 0x%02X; is the file Windows-1252? give --encoding windows-1252)",
		e.Line, e.Byte)
}

// OpenText gives a file's text in UTF-8: gzip and zstd are unpacked, whichever name the file has, and a byte order mark
// (Unicode, section 23.8) is taken off; by it UTF-16 is known. Another encoding has a name of the WHATWG's Encoding
// Standard; empty is UTF-8. Reading gives an *EncodingError at the first byte that is not of it.
func OpenText(r io.Reader, name string) (io.Reader, error) {
	unpacked, err := unpack(bufio.NewReader(r))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(unpacked, 64<<10)
	var decoder transform.Transformer
	switch head, _ := in.Peek(4); { // a shorter file has no mark
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(head, []byte{0, 0, 0xFE, 0xFF}):
		return nil, errors.New("the file is UTF-32: save it as UTF-8")
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		decoder = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		_, err := in.Discard(3)
		return &valid{in: in, line: 1}, err
	case name != "":
		of, err := encodingOf(name)
		if err != nil {
			return nil, err
		}
		decoder = of.NewDecoder()
	}
	if decoder != nil {
		return &valid{in: transform.NewReader(in, decoder), line: 1}, nil
	}
	return &valid{in: in, line: 1}, nil
}

// encodingOf finds an encoding by name. UTF-8 is passed on as it is, so that what is wrong with it is found.
func encodingOf(name string) (encoding.Encoding, error) {
	found, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("--encoding: %q is not known; such are utf-8, windows-1252, iso-8859-1, utf-16le, shift_jis",
			name)
	}
	if canonical, _ := htmlindex.Name(found); canonical == "utf-8" {
		return encoding.Nop, nil
	}
	return found, nil
}

// unpack looks at how a file begins (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1).
func unpack(in *bufio.Reader) (io.Reader, error) {
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1F, 0x8B}):
		packed, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("it begins as gzip does, and is not: %w", err)
		}
		return &unpacking{packed}, nil
	case bytes.Equal(head, []byte{0x28, 0xB5, 0x2F, 0xFD}):
		packed, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("it begins as zstd does, and is not: %w", err)
		}
		return &unpacking{packed}, nil
	}
	return in, nil
}

// unpacking says in words that a packed file is not whole.
type unpacking struct{ in io.Reader }

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the compressed file is cut off")
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = fmt.Errorf("it was packed with a window of more than %d MiB: pack it without --ultra and --long",
			maxWindow>>20)
	default:
		err = fmt.Errorf("the compressed file is damaged: %w", err)
	}
	return n, err
}

// valid passes UTF-8 on, and ends with an error where it is none.
type valid struct {
	in   io.Reader
	line int64
	rest [utf8.UTFMax]byte // of a character that has only begun
	held int
	err  error
}

func (v *valid) Read(p []byte) (int, error) {
	if len(p) < 2*utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	for {
		if v.err != nil {
			return 0, v.err
		}
		n := copy(p, v.rest[:v.held])
		more, err := v.in.Read(p[n:])
		n += more
		whole := n - unfinished(p[:n])
		if err != nil {
			whole, v.err = n, err
		}
		v.held = copy(v.rest[:], p[whole:n])
		if at := invalidAt(p[:whole]); at >= 0 {
			v.line += int64(bytes.Count(p[:at], []byte{'\n'}))
			v.err = &EncodingError{Line: v.line, Byte: p[at]}
			return at, nil
		}
		v.line += int64(bytes.Count(p[:whole], []byte{'\n'}))
		if whole > 0 {
			return whole, nil
		}
	}
}

// unfinished tells how many bytes at the end begin a character that is not whole.
func unfinished(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if b := p[len(p)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// invalidAt finds the first byte that is not of UTF-8, or is zero; -1: there is none.
func invalidAt(p []byte) int {
	zero := bytes.IndexByte(p, 0)
	if zero < 0 && utf8.Valid(p) {
		return -1
	}
	for at := 0; at < len(p); {
		r, size := utf8.DecodeRune(p[at:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// errTooLong is of a record that has no end within MaxRecord.
var errTooLong = fmt.Errorf("a record is longer than %d MiB; is a quote not closed?", MaxRecord>>20)

// bounded lets no more through than a record may have; renew begins the next one.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) renew() { b.left = MaxRecord + 64<<10 } // what a buffer reads ahead is of the next record

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 2*utf8.UTFMax { // valid takes no less
		return 0, errTooLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
