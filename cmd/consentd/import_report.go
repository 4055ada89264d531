package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/importing"
)

// Of how many reasons, and of how many places each, is told.
const (
	keptReasons = 50
	keptPlaces  = 10
)

// reasons counts why records were not taken.
type reasons struct {
	total int64
	of    map[string]*reason
	other int64 // of reasons that are not kept
}

type reason struct {
	text   string
	count  int64
	places []string // the first
}

func (r *reasons) note(text, place string) {
	r.total++
	if r.of == nil {
		r.of = map[string]*reason{}
	}
	one := r.of[text]
	if one == nil {
		if len(r.of) >= keptReasons {
			r.other++
			return
		}
		one = &reason{text: text}
		r.of[text] = one
	}
	one.count++
	if len(one.places) < keptPlaces {
		one.places = append(one.places, place)
	}
}

// print writes reasons, the most frequent first.
func (r *reasons) print(out io.Writer, title string) {
	if r.total == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	all := make([]*reason, 0, len(r.of))
	for _, one := range r.of {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *reason) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.text, b.text))
	})
	for _, one := range all {
		more := ""
		if n := one.count - int64(len(one.places)); n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(out, "  %d × %s\n      %s%s\n", one.count, one.text, strings.Join(one.places, ", "), more)
	}
	if r.other > 0 {
		fmt.Fprintf(out, "  %d × for other reasons\n", r.other)
	}
}

// tell finds out which records were refused, keeps them, and says what came of the import.
func (r *importRun) tell(ctx context.Context) error {
	var refused reasons
	untold := r.state.Rejected
	if r.input.Again() && r.refused() > 0 && (r.state.Rejected > 0 || r.Errors != "") {
		kept, err := newRefusedFile(r.Errors)
		if err != nil {
			return err
		}
		if untold, err = r.match(ctx, &refused, kept); err != nil {
			return errors.Join(err, kept.abandon())
		}
		if err := kept.keep(); err != nil {
			return err
		}
	}
	what, taken := "Imported", "taken"
	if r.state.DryRun {
		what, taken = "Would import", "would be taken"
	}
	fmt.Fprintf(r.out, "%s %s as source %s (%s): %d %s, %s, %d refused by the server, %s, %d left out.\n", what, r.File,
		r.Source,
		r.format.Name, r.state.Accepted, taken, plural(r.state.Duplicates, "duplicate"), r.state.Rejected,
		plural(r.unread.total, "record")+" not readable", r.left.total)
	r.printWould()
	r.unread.print(r.out, "Not readable")
	refused.print(r.out, "Refused by the server")
	if untold > 0 {
		fmt.Fprintf(r.out, "\nOf %s more the server has not kept why.\n", plural(untold, "refused line"))
	}
	r.left.print(r.out, "Left out, being no decisions")
	if r.refused() > 0 && r.Errors != "" {
		fmt.Fprintf(r.out, "\nThe refused records are in %s, each with its reason: mend them there, and import that file in "+
			"the same way.\n", r.Errors)
	}
	return nil
}

// printWould says what a dry run would have made.
func (r *importRun) printWould() {
	would := r.state.Would
	if would == nil {
		return
	}
	fmt.Fprintf(r.out, "\nPeople: %d would be made, %d are known.\n", would.SubjectsMade, would.SubjectsKnown)
	for _, p := range would.Purposes {
		fmt.Fprintf(r.out, "  %s %s: %d made, %d changed, %d unchanged\n", p.Purpose, p.State, p.Made, p.Changed, p.Unchanged)
	}
}

// match reads the file again beside the server's list of errors, which is in the order of lines: each is of a record.
// untold is how many lines were refused of which the server has kept no reason.
func (r *importRun) match(ctx context.Context, refused *reasons, kept *refusedFile) (untold int64, err error) {
	r.input.Rewind()
	reader, err := importing.Read(r.input, r.format, r.options)
	if err != nil {
		return 0, err
	}
	next, stop := iter.Pull2(r.keptErrors(ctx))
	defer stop()
	fault, failed, more := next()
	var line, told int64
	var record importing.Record
	for {
		if failed != nil {
			return 0, failed
		}
		if err := reader.Next(&record); errors.Is(err, io.EOF) {
			return r.state.Rejected - told, nil
		} else if err != nil {
			return 0, err
		}
		var why []string
		if record.Err != nil {
			why = append(why, record.Err.Error())
		}
		for line += int64(len(record.Lines)); more && failed == nil && fault.Line <= line; told++ {
			text := strings.TrimSpace(fault.Pointer + " " + fault.Detail)
			refused.note(text, placeOf(&record))
			why = append(why, text)
			fault, failed, more = next()
		}
		if len(why) > 0 {
			if err := kept.add(&record, strings.Join(why, "; ")); err != nil {
				return 0, err
			}
		}
	}
}

// keptErrors goes through the server's errors. A list that breaks is read again from its beginning, without those that
// were given already.
func (r *importRun) keptErrors(ctx context.Context) iter.Seq2[client.LineError, error] {
	return func(yield func(client.LineError, error) bool) {
		var last int64
		for tries := 0; ; tries++ {
			var failed error
			for fault, err := range r.server.ImportErrors(ctx, r.state.ID) {
				if failed = err; err != nil {
					break
				}
				if fault.Line <= last {
					continue
				}
				last, tries = fault.Line, 0
				if !yield(fault, nil) {
					return
				}
			}
			if failed == nil {
				return
			}
			if !mayPass(failed) || tries >= 20 || ctx.Err() != nil {
				yield(client.LineError{}, failed)
				return
			}
			select {
			case <-time.After(min(firstPause<<tries, longestPause)):
			case <-ctx.Done():
			}
		}
	}
}
