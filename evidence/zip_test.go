package evidence

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func unpacked(t testing.TB, bundle []byte) map[string][]byte {
	t.Helper()
	files, err := unzip(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// zipped packs files as any other program may.
func zipped(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	return packed(t, func(add func(h *zip.FileHeader, content []byte)) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			add(&zip.FileHeader{Name: name, Method: zip.Deflate}, files[name])
		}
	})
}

func packed(t testing.TB, fill func(add func(h *zip.FileHeader, content []byte))) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	fill(func(h *zip.FileHeader, content []byte) {
		to, err := w.CreateHeader(h)
		if err == nil && content != nil {
			_, err = to.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEveryFlippedBitIsFound: whatever bit of whatever file is flipped, the bundle is refused or does not hold.
func TestEveryFlippedBitIsFound(t *testing.T) {
	files := unpacked(t, written(t, testBundle(3)))
	if !verify(t, zipped(t, files), Options{}).Holds() {
		t.Fatal("packed anew it does not hold")
	}
	names := slices.Sorted(maps.Keys(files))
	flip := func(t tester, name string, at int, bit byte) {
		changed := maps.Clone(files)
		changed[name] = bytes.Clone(files[name])
		changed[name][at] ^= bit
		bundle := zipped(&testing.T{}, changed)
		r, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{})
		if err == nil && r.Holds() {
			t.Errorf("%s, byte %d, bit %#x: nobody noticed", name, at, bit)
		}
	}
	for _, name := range names { // some of each file, whatever lots say
		for at := 0; at < len(files[name]); at += 1 + len(files[name])/20 {
			flip(t, name, at, 1)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "file")
		at := rapid.IntRange(0, len(files[name])-1).Draw(t, "byte")
		flip(t, name, at, 1<<rapid.IntRange(0, 7).Draw(t, "bit"))
	})
}

type tester interface {
	Errorf(format string, args ...any)
}

// TestZipsThatAreRefused: bombs, names from elsewhere, duplicates and files that no bundle has.
func TestZipsThatAreRefused(t *testing.T) {
	good := unpacked(t, written(t, testBundle(2)))
	with := func(change func(map[string][]byte)) []byte {
		files := maps.Clone(good)
		change(files)
		return zipped(t, files)
	}
	again := func(name string) []byte {
		return packed(t, func(add func(*zip.FileHeader, []byte)) {
			for _, name := range slices.Sorted(maps.Keys(good)) {
				add(&zip.FileHeader{Name: name}, good[name])
			}
			add(&zip.FileHeader{Name: name}, good[DataFile])
		})
	}
	folder := &zip.FileHeader{Name: textFolder + strings.Repeat("a", 64) + textSuffix}
	folder.SetMode(0o777 | 1<<27) // a link
	whole := written(t, testBundle(2))
	cut := func(at int, change func([]byte)) []byte {
		b := bytes.Clone(whole)
		change(b[len(b)-endSize+at:])
		return b
	}
	for name, bundle := range map[string][]byte{
		"nothing":              {},
		"no zip":               []byte(strings.Repeat("no zip ", 9)),
		"a name twice":         again(DataFile),
		"a name from the root": again("/" + DataFile),
		"a name above":         again("../" + DataFile),
		"a name above a text":  again("texts/../../" + strings.Repeat("a", 64) + ".txt"),
		"a backslash":          again(`texts\` + strings.Repeat("a", 64) + ".txt"),
		"other letters":        again("Evidence.json"),
		"a folder": packed(t, func(add func(*zip.FileHeader, []byte)) {
			for name, content := range good {
				add(&zip.FileHeader{Name: name}, content)
			}
			add(&zip.FileHeader{Name: "texts/"}, nil)
		}),
		"an unknown file":   again("evidence.js"),
		"a text of no hash": again("texts/a.txt"),
		"a link": packed(t, func(add func(*zip.FileHeader, []byte)) {
			for name, content := range good {
				add(&zip.FileHeader{Name: name}, content)
			}
			add(folder, []byte("/etc/passwd"))
		}),
		"a bomb":              with(func(f map[string][]byte) { f[PageFile] = make([]byte, 10<<20) }),
		"a file less":         with(func(f map[string][]byte) { delete(f, ReceiptFile) }),
		"a comment":           append(cut(20, func(b []byte) { b[0] = 3 }), "abc"...),
		"bytes before":        append([]byte("before"), whole...),
		"bytes behind":        append(bytes.Clone(whole), "behind"...),
		"too many files":      cut(10, func(b []byte) { b[0], b[1] = 0xff, 0xff }),
		"a large directory":   cut(12, func(b []byte) { binary.LittleEndian.PutUint32(b, 1<<30) }),
		"a directory beyond":  cut(16, func(b []byte) { b[0]++ }),
		"another check sum":   bytes.Replace(whole, []byte("PK\x03\x04"), []byte("PK\x03\x05"), 1),
		"cut off":             whole[:len(whole)/2],
		"another name in it":  bytes.Replace(whole, []byte(DataFile), []byte("evidence.jsom"), 1),
		"a file within a gap": gap(whole),
	} {
		if r, err := Verify(bytes.NewReader(bundle), int64(len(bundle)), Options{}); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// gap moves the directory of a zip behind some bytes that it says nothing of.
func gap(whole []byte) []byte {
	b := bytes.Clone(whole)
	end := b[len(b)-endSize:]
	at := binary.LittleEndian.Uint32(end[16:])
	binary.LittleEndian.PutUint32(end[16:], at+4)
	return slices.Insert(b, int(at), []byte("more")...)
}

// TestHeadersThatDiffer: what stands before a file, and behind it where it was written to a stream, says the same as
// the directory, so that a program that reads the one reads what a program that reads the other does.
func TestHeadersThatDiffer(t *testing.T) {
	files := unpacked(t, written(t, testBundle(1)))
	streamed := zipped(t, files)
	whole := written(t, testBundle(1))
	for name, c := range map[string]struct {
		whole []byte
		at    func(*zip.File) int64
	}{
		"flags":                    {whole, ownHeader(6)},
		"method":                   {whole, ownHeader(8)},
		"check sum":                {whole, ownHeader(14)},
		"packed size":              {whole, ownHeader(18)},
		"size":                     {whole, ownHeader(22)},
		"flags, streamed":          {streamed, ownHeader(7)},
		"method, streamed":         {streamed, ownHeader(8)},
		"check sum, streamed":      {streamed, ownHeader(14)},
		"packed size, streamed":    {streamed, ownHeader(18)},
		"size, streamed":           {streamed, ownHeader(22)},
		"mark behind it":           {streamed, behind(0)},
		"check sum behind it":      {streamed, behind(4)},
		"packed size behind it":    {streamed, behind(8)},
		"size behind it":           {streamed, behind(12)},
		"high size behind it":      {streamed, behind(15)},
		"no size":                  {whole, ownHeader(22)},
		"high packed size":         {whole, ownHeader(21)},
		"high check sum, streamed": {streamed, ownHeader(17)},
	} {
		archive := must(zip.NewReader(bytes.NewReader(c.whole), int64(len(c.whole))))
		if _, err := unzip(bytes.NewReader(c.whole), int64(len(c.whole))); err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			b := bytes.Clone(c.whole)
			if b[c.at(f)] ^= 2; name == "no size" {
				clear(b[c.at(f):][:4])
			}
			if _, err := unzip(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrUnreadable) {
				t.Errorf("another %s of %s: %v", name, f.Name, err)
			}
		}
	}
}

// ownHeader finds a byte of what stands before a file.
func ownHeader(at int) func(*zip.File) int64 {
	return func(f *zip.File) int64 {
		return must(f.DataOffset()) - int64(30+len(f.Name)) + int64(at) // these have nothing extra
	}
}

// behind finds a byte of what stands behind a file.
func behind(at int) func(*zip.File) int64 {
	return func(f *zip.File) int64 {
		return must(f.DataOffset()) + int64(f.CompressedSize64) + int64(at)
	}
}

// TestExtrasThatAreRefused: a name in another place than the name's is refused, before a file and in the directory, and
// so is what only some programs can read. What programs add of times and owners is not.
func TestExtrasThatAreRefused(t *testing.T) {
	files := unpacked(t, written(t, testBundle(1)))
	const at, unicodePath = "UT\x05\x00\x01abcd", "up\x0e\x00\x01abcdREADME.tx" // tag, size, and what Info-ZIP has in it
	for name, c := range map[string]struct {
		extra string
		good  bool
	}{
		"nothing":             {"", true},
		"a time":              {at, true},
		"an owner and a time": {"ux\x02\x00\x01\x00" + at, true},
		"a name":              {unicodePath, false},
		"a name behind":       {at + unicodePath, false},
		"a part":              {"UT\x06\x00\x01abcd", false},
		"a part of a tag":     {at + "UT\x05", false},
	} {
		bundle := packed(t, func(add func(*zip.FileHeader, []byte)) {
			for name, content := range files {
				add(&zip.FileHeader{Name: name, Extra: []byte(c.extra)}, content)
			}
		})
		for where, bundle := range map[string][]byte{"in both": bundle, "before a file": withExtras(bundle, ""),
			"in the directory": withExtras(zipped(t, files), c.extra)} {
			_, err := unzip(bytes.NewReader(bundle), int64(len(bundle)))
			if (err == nil) != c.good || err != nil && !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s %s: %v", name, where, err)
			}
		}
	}
}

// withExtras gives each entry of the directory of a zip what is extra, for what it had.
func withExtras(b []byte, extra string) []byte {
	end := bytes.Clone(b[len(b)-endSize:])
	at := binary.LittleEndian.Uint32(end[16:])
	out := bytes.Clone(b[:at])
	for entry := b[at : len(b)-endSize]; len(entry) > 0; {
		name, had := 46+int(binary.LittleEndian.Uint16(entry[28:])), int(binary.LittleEndian.Uint16(entry[30:]))
		out = append(out, entry[:name]...)
		binary.LittleEndian.PutUint16(out[len(out)-name+30:], uint16(len(extra)))
		out = append(out, extra...)
		entry = entry[name+had:]
	}
	binary.LittleEndian.PutUint32(end[12:], uint32(len(out))-at)
	return append(out, end...)
}

// TestEveryFlippedBitOfTheZip: in the zip as it was written no bit is flipped that Verify takes for what it was, but
// those that say how it was made: dates, versions and attributes.
func TestEveryFlippedBitOfTheZip(t *testing.T) {
	whole := written(t, testBundle(1))
	good := unpacked(t, whole)
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(whole)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		r, err := Verify(bytes.NewReader(b), int64(len(b)), Options{})
		if err != nil || !r.Holds() {
			return
		}
		files, err := unzip(bytes.NewReader(b), int64(len(b)))
		if err != nil || !maps.EqualFunc(files, good, bytes.Equal) {
			t.Errorf("byte %d: it holds with other files", at)
		}
	})
}

// TestSizesThatAreRefused: what says that it is large is refused before it is unpacked.
func TestSizesThatAreRefused(t *testing.T) {
	for name, f := range map[string]zip.FileHeader{
		"a large file":  {Name: PageFile, UncompressedSize64: maxFile + 1, CompressedSize64: maxFile},
		"a large pack":  {Name: PageFile, UncompressedSize64: 1, CompressedSize64: 1 << 60},
		"a dense one":   {Name: PageFile, UncompressedSize64: 1 << 20, CompressedSize64: 1 << 10},
		"an encrypted":  {Name: PageFile, Flags: 1},
		"no such file":  {Name: "more"},
		"a small dense": {Name: PageFile, UncompressedSize64: smallFile, CompressedSize64: 1},
	} {
		if err := admit(&zip.File{FileHeader: f}); (err == nil) != (name == "a small dense") {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := written(t, testBundle(3))
	if err := checkEnd(bytes.NewReader(whole), int64(len(whole))); err != nil {
		t.Error(err)
	}
	end := whole[len(whole)-endSize:] // it says that all before is the directory
	binary.LittleEndian.PutUint32(end[12:], uint32(len(whole)-endSize))
	binary.LittleEndian.PutUint32(end[16:], 0)
	if err := checkEnd(bytes.NewReader(whole), int64(len(whole))); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a directory that is large: %v", err)
	}
	if _, err := Verify(zeros{}, maxZip+1, Options{}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a zip that is large: %v", err)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// TestSameTextsArePacked: what packs too well for Verify is stored, so that what is written is readable.
func TestSameTextsArePacked(t *testing.T) {
	b := testBundle(1)
	legal := strings.Repeat("a", 1<<20)
	delete(b.Texts, hexOf("We write letters."))
	b.Texts[hexOf(legal)] = legal
	b.Versions[0].LegalText, b.Entries = hashPrefix+hexOf(legal), nil
	if r := verify(t, written(t, b), Options{}); !r.Holds() {
		t.Errorf("%+v", r)
	}
}

// TestTooLarge: nothing is written that Verify would refuse.
func TestTooLarge(t *testing.T) {
	many := testBundle(1)
	many.Decisions = slices.Repeat(many.Decisions, MaxDecisions+1)
	large := testBundle(1)
	text := strings.Repeat("a", 1<<20)
	for i := range maxContent>>20 + 1 {
		large.Texts[strconv.Itoa(i)] = text
	}
	refused := map[string]*Bundle{"many decisions": many, "a large text": large}
	for name, change := range map[string]func(*Bundle){
		"many versions":    func(b *Bundle) { b.Versions = slices.Repeat(b.Versions, maxVersions+1) },
		"many keys":        func(b *Bundle) { b.Keys = slices.Repeat(b.Keys, maxKeys+1) },
		"many merged":      func(b *Bundle) { b.Person.Merged = make([]string, maxNames+1) },
		"many identifiers": func(b *Bundle) { b.Person.Identifiers = make([]Identifier, maxNames+1) },
	} {
		refused[name] = testBundle(1)
		change(refused[name])
	}
	for name, b := range refused {
		if err := Write(io.Discard, b); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFewDataMakeNoLargeFiles: what each decision repeats is no more than a file of a bundle may have. It is not
// written, and to verify it is to find a fault, not to make it.
func TestFewDataMakeNoLargeFiles(t *testing.T) {
	files := unpacked(t, written(t, testBundle(200)))
	long := strings.Repeat("long ", maxFile/5/190)
	for name, change := range map[string]func(*Bundle){
		"a long description": func(b *Bundle) { b.Versions[0].Description = long },
		"a long day":         func(b *Bundle) { b.Versions[0].HeldFrom = long },
	} {
		b := testBundle(200)
		change(b)
		var out bytes.Buffer
		if err := Write(&out, b); !errors.Is(err, ErrTooLarge) || out.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes were written", name, err, out.Len())
		}
		changed := maps.Clone(files)
		maps.Copy(changed, must(filesOf(nil, b.data())))
		large, file := 0, ReceiptFile
		if name == "a long day" { // which the receipt does not have
			file = PageFile
		}
		r, err := verifyFiles(changed, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Checks {
			if strings.Contains(c.Says, "larger than a bundle may have") && !c.OK && c.File == file {
				large++
			}
		}
		if large != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestMadeFilesHaveABound: a file is made up to the bound, and nothing beyond it is kept.
func TestMadeFilesHaveABound(t *testing.T) {
	var kept bytes.Buffer
	p := &page{sums: map[string]string{}}
	for _, c := range []struct {
		size int
		want error
	}{{maxFile - 1, nil}, {maxFile, nil}, {maxFile + 1, ErrTooLarge}} {
		kept.Reset()
		err := p.make(part{"a file", func(w io.Writer) error {
			if _, err := w.Write(make([]byte, c.size-1)); err != nil {
				return err
			}
			_, err := w.Write([]byte{1})
			return err
		}}, &kept)
		if !errors.Is(err, c.want) || kept.Len() > maxFile || err == nil && kept.Len() != c.size {
			t.Errorf("%d bytes: %d were kept, %v", c.size, kept.Len(), err)
		}
	}
}
