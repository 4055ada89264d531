package evidence

import (
	"archive/zip"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/mutation"
	"github.com/consentd/consentd/ledger"
)

// fewMutations are as many as take a few seconds.
const fewMutations = 1500

var (
	mutations    = flag.Int("mutations", fewMutations, "how many changed bundles are verified")
	mutationSeed = flag.Uint64("mutation-seed", uint64(time.Now().UnixNano()), "of the changes")
)

// mutants are valid bundles of one ledger's key, which a cheat may mix.
type mutants struct {
	bundles [][]byte
	files   []map[string][]byte // of each bundle
	random  *mutation.Mutator
	counts  map[string]*[3]int // refused, taken with the same files in another zip, not changed
}

func newMutants(t *testing.T, seed uint64) *mutants {
	t.Helper()
	m := &mutants{random: mutation.New(seed), counts: map[string]*[3]int{}}
	for _, decisions := range []int{1, 2, 3} {
		b := testBundle(decisions)
		bundle := written(t, b)
		m.bundles, m.files = append(m.bundles, bundle), append(m.files, unpacked(t, bundle))
	}
	return m
}

// verify verifies files or a bundle, and tells what is wrong where what holds is none of the valid ones.
func (m *mutants) verify(what string, changed []byte, files map[string][]byte) (fault string) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprint("panic: ", r)
		}
	}()
	o := Options{Keys: []string{vkeyOf(testKey)}}
	var r *Report
	var err error
	if files == nil {
		if r, err = Verify(bytes.NewReader(changed), int64(len(changed)), o); err == nil && r.Holds() {
			files, err = unzip(bytes.NewReader(changed), int64(len(changed)))
		}
	} else {
		r, err = verifyFiles(files, must(readKeys(o.Keys)), nil)
	}
	if m.counts[what] == nil {
		m.counts[what] = &[3]int{}
	}
	switch {
	case err != nil && !errors.Is(err, ErrUnreadable) && !errors.Is(err, ledger.ErrMalformed):
		return err.Error()
	case err != nil || !r.Holds():
		m.counts[what][0]++
	case !slices.ContainsFunc(m.files, func(valid map[string][]byte) bool {
		return maps.EqualFunc(valid, files, bytes.Equal)
	}):
		return "it holds, and its files are those of no valid bundle"
	case changed == nil, slices.ContainsFunc(m.bundles, func(b []byte) bool { return bytes.Equal(b, changed) }):
		m.counts[what][2]++
	default:
		m.counts[what][1]++
	}
	return ""
}

// change makes one changed bundle, as bytes or as files, and verifies it.
func (m *mutants) change(n int) (what, fault string) {
	at, from := m.random.Pick(len(m.bundles)), m.random.Pick(len(m.bundles))
	switch n % 4 {
	case 0:
		kind, changed := m.random.Change(m.bundles[at], m.bundles[from])
		return "zip, " + kind, m.verify("zip, "+kind, changed, nil)
	case 1:
		kind, changed := m.entries(m.files[at], m.files[from])
		return kind, m.verify(kind, changed, nil)
	}
	names := slices.Sorted(maps.Keys(m.files[at]))
	name := names[m.random.Pick(len(names))]
	files := maps.Clone(m.files[at])
	kind, changed := m.random.Change(files[name], m.files[from][name])
	if files[name] = changed; strings.HasPrefix(name, textFolder) {
		name = "texts"
	}
	return name + ", " + kind, m.verify(name, nil, files)
}

// entries makes a zip anew: its files in another order, in another form, twice, without one, with one of another
// bundle, or by another name.
func (m *mutants) entries(files, other map[string][]byte) (kind string, changed []byte) {
	names := slices.Sorted(maps.Keys(files))
	for i := range names {
		j := m.random.Pick(len(names))
		names[i], names[j] = names[j], names[i]
	}
	files = maps.Clone(files)
	one := names[m.random.Pick(len(names))]
	kind = []string{"order", "stored", "streamed", "twice", "less", "other's", "all but one", "name"}[m.random.Pick(8)]
	method, streams := zip.Deflate, kind == "streamed"
	switch kind {
	case "stored":
		method = zip.Store
	case "twice":
		names = append(names, one)
	case "less":
		names = slices.DeleteFunc(names, func(name string) bool { return name == one })
	case "other's":
		files[one] = other[one]
	case "all but one":
		kept := files[one]
		files = maps.Clone(other)
		files[one], names = kept, slices.Sorted(maps.Keys(files))
	case "name":
		renamed := string(m.random.By("byte", []byte(one), nil))
		files[renamed] = files[one]
		names[slices.Index(names, one)] = renamed
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range names {
		h := &zip.FileHeader{Name: name, Method: method}
		if streams {
			h.Modified = time.Unix(1772366400, 0)
		}
		if to, err := w.CreateHeader(h); err == nil {
			_, _ = to.Write(files[name])
		}
	}
	_ = w.Close() // into memory
	return "entries, " + kind, out.Bytes()
}

// TestMutations: whatever is changed in a bundle or in one of its files, what holds has byte for byte the files of a
// bundle that was made, and nothing panics.
func TestMutations(t *testing.T) {
	m := newMutants(t, *mutationSeed)
	began := time.Now()
	for n := range *mutations {
		if what, fault := m.change(n); fault != "" {
			t.Fatalf("seed %d, change %d: %s: %s", *mutationSeed, n, what, fault)
		}
	}
	refused := 0
	for _, name := range slices.Sorted(maps.Keys(m.counts)) {
		c := m.counts[name]
		refused += c[0]
		if *mutations == fewMutations {
			continue
		}
		t.Logf("%-24s %8d refused, %6d the same files in another zip, %6d not changed", name, c[0], c[1], c[2])
	}
	if *mutations > fewMutations {
		t.Logf("%d changes in %s, seed %d", *mutations, time.Since(began).Round(time.Millisecond), *mutationSeed)
	}
	if refused < *mutations/2 {
		t.Errorf("%d of %d were refused", refused, *mutations)
	}
}
