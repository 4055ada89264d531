package evidence

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
)

// part is a file of a bundle, and what writes it, always the same bytes.
type part struct {
	name  string
	write func(io.Writer) error
}

// packedFile is a file as it is in a zip.
type packedFile struct {
	part
	size int // unpacked
	crc  uint32
	body []byte // nil: it is stored as it is written
}

// packer packs files while they are made, so that none of them is in memory as a whole.
type packer struct {
	deflate *flate.Writer
	out     bytes.Buffer
	total   int // bytes of all files, unpacked
}

// packAll packs all files of a bundle. An error wraps ErrTooLarge where Verify would not read them.
func packAll(b *Bundle) (files []packedFile, err error) {
	k := &packer{}
	if k.deflate, err = flate.NewWriter(&k.out, flate.BestSpeed); err != nil {
		return nil, fmt.Errorf("pack a bundle: %w", err)
	}
	p := pageOf(b, nil)
	add := func(of part, lines bool) error {
		file, err := k.pack(p, of, lines)
		if err != nil {
			return fmt.Errorf("write %s: %w", of.name, err)
		}
		files = append(files, file)
		return nil
	}
	for _, of := range b.data() {
		if err := add(of, true); err != nil {
			return nil, err
		}
	}
	for hash, text := range b.Texts {
		if err := add(textPart(hash, text), false); err != nil {
			return nil, err
		}
	}
	for _, of := range p.others() {
		if err := add(of, false); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func textPart(hash, text string) part {
	return part{textFolder + hash + textSuffix, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}}
}

// pack packs a file, unless that makes it larger, or so small that readers would take it for a bomb. lines tells that
// it is one of data, whose lines have a bound.
func (k *packer) pack(p *page, of part, lines bool) (packedFile, error) {
	k.out.Reset()
	k.deflate.Reset(&k.out)
	to := &counted{to: k.deflate, lines: lines}
	if err := p.make(of, to); err != nil {
		return packedFile{}, err
	}
	if err := k.deflate.Close(); err != nil {
		return packedFile{}, err
	}
	if k.total += to.size; k.total > maxContent {
		return packedFile{}, ErrTooLarge
	}
	file := packedFile{part: of, size: to.size, crc: to.crc}
	if n := k.out.Len(); n < to.size && !isBomb(n, to.size) {
		file.body = bytes.Clone(k.out.Bytes())
	}
	return file, nil
}

// counted notes what a zip says of a file.
type counted struct {
	to    io.Writer
	lines bool
	line  int // bytes of the line so far
	size  int
	crc   uint32
}

func (c *counted) Write(part []byte) (int, error) {
	c.size, c.crc = c.size+len(part), crc32.Update(c.crc, crc32.IEEETable, part)
	for rest := part; c.lines && len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		if c.line += end; c.line > maxLine {
			return 0, ErrTooLarge
		}
		if rest = rest[end:]; len(rest) > 0 {
			c.line, rest = 0, rest[1:]
		}
	}
	return c.to.Write(part)
}

// put adds the file to a zip. Its sizes go before it, so that it can be read from a stream too.
func (f *packedFile) put(out *zip.Writer) error {
	h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, CreatorVersion: 20, ReaderVersion: 20, CRC32: f.crc,
		UncompressedSize64: uint64(f.size), CompressedSize64: uint64(len(f.body))}
	//lint:ignore SA1019 CreateRaw takes the date from here alone
	h.ModifiedDate = zipDate
	if f.body == nil {
		h.Method, h.CompressedSize64 = zip.Store, uint64(f.size)
	}
	to, err := out.CreateRaw(h)
	if err != nil {
		return err
	}
	if f.body == nil {
		return f.write(to)
	}
	_, err = to.Write(f.body)
	return err
}
