package powercut

import (
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Disk is what is found in a folder after a power cut: the content of each file.
type Disk map[string][]byte

// block is what a disk writes at once, or not at all: of a write that was under way there may be some.
const block = 512

// Moment is one just before something becomes durable, when the most was done since what was durable before. A cut at
// an earlier one leaves a disk that is possible here too.
type Moment struct {
	// At is how many of the ops were done by then.
	At int
	// Pending are those that may be on the disk or not, in order: a name's belong to the folder, others to a file.
	Pending []Op

	files map[int][]byte // as they are for sure; never changed
	names map[string]int
}

// Moments gives those of a record, in order, the last one at its end.
func Moments(ops []Op) iter.Seq[*Moment] {
	return func(yield func(*Moment) bool) {
		m := &Moment{files: map[int][]byte{}, names: map[string]int{}}
		for n, op := range ops {
			switch op.Kind {
			case Noted:
			case Found:
				m.files[op.File], m.names[op.Name] = op.Data, op.File
			case Sync:
				m.At = n
				if !yield(m) {
					return
				}
				m = m.synced(op.File, op.Folder)
			case Delete:
				m.Pending = append(m.Pending, op)
				if op.Folder {
					m.At = n + 1
					if !yield(m) {
						return
					}
					m = m.synced(0, true)
				}
			default:
				m.Pending = append(m.Pending, op)
			}
		}
		m.At = len(ops)
		yield(m)
	}
}

// synced is the moment after a file was synced, and with folder the names.
func (m *Moment) synced(file int, folder bool) *Moment {
	next := &Moment{files: maps.Clone(m.files), names: m.names}
	if folder {
		next.names = maps.Clone(m.names)
	}
	copied := false
	for i := range m.Pending {
		op := &m.Pending[i]
		ofFolder := op.Kind == Create || op.Kind == Delete
		switch {
		case ofFolder && folder:
			rename(next.names, op)
		case !ofFolder && op.File == file:
			if !copied {
				next.files[file], copied = slices.Clone(next.files[file]), true
			}
			next.files[file] = done(next.files[file], op)
		default:
			next.Pending = append(next.Pending, *op)
		}
	}
	return next
}

func rename(names map[string]int, op *Op) {
	if op.Kind == Create {
		names[op.Name] = op.File
	} else if names[op.Name] == op.File {
		delete(names, op.Name)
	}
}

// done does a write or a truncation to content, which it may change in place.
func done(content []byte, op *Op) []byte {
	if op.Kind == Truncate {
		return resized(content, op.Size)
	}
	content = resized(content, max(int64(len(content)), op.Offset+int64(len(op.Data))))
	copy(content[op.Offset:], op.Data)
	return content
}

func resized(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size:size] // what is appended later must not be what was cut off
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// Prefix is the disk that has the first n of what is pending, and no more.
func (m *Moment) Prefix(n int) Disk { return m.disk(m.Pending[:n]) }

// Torn is Prefix, and of the op after those, where it is a write, some blocks.
func (m *Moment) Torn(n int, random *rand.Rand) Disk {
	ops := slices.Clone(m.Pending[:n])
	if n < len(m.Pending) {
		ops = append(ops, torn(&m.Pending[n], random)...)
	}
	return m.disk(ops)
}

// Some is the disk that has some of what is pending, in any order in which a disk may write it: each op as a whole, not
// at all, or some blocks of it.
func (m *Moment) Some(random *rand.Rand) Disk {
	var ops []Op
	share := random.Float64()
	for i := range m.Pending {
		switch p := random.Float64(); {
		case random.IntN(8) == 0:
			ops = append(ops, torn(&m.Pending[i], random)...)
		case p < share:
			ops = append(ops, m.Pending[i])
		}
	}
	return m.disk(ops)
}

// torn gives writes of some of an op's blocks; of what is no write, nothing.
func torn(op *Op, random *rand.Rand) (some []Op) {
	if op.Kind != Write {
		return nil
	}
	end := op.Offset + int64(len(op.Data))
	for from := op.Offset; from < end; {
		to := min((from/block+1)*block, end)
		if random.IntN(2) == 0 {
			some = append(some, Op{Kind: Write, File: op.File, Offset: from, Data: op.Data[from-op.Offset : to-op.Offset]})
		}
		from = to
	}
	return some
}

// disk is what is durable with ops done to it.
func (m *Moment) disk(ops []Op) Disk {
	files, names := map[int][]byte{}, maps.Clone(m.names)
	for i := range ops {
		op := &ops[i]
		if op.Kind == Create || op.Kind == Delete {
			rename(names, op)
			continue
		}
		content, changed := files[op.File]
		if !changed {
			content = slices.Clone(m.files[op.File])
		}
		files[op.File] = done(content, op)
	}
	d := Disk{}
	for name, file := range names {
		content, changed := files[file]
		if !changed {
			content = m.files[file]
		}
		d[name] = content
	}
	return d
}

// Put writes the files into a folder. Errors: those of the file system.
func (d Disk) Put(folder string) error {
	for name, content := range d {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
