package evidence

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// anonymousID is the kind of name by which a browser knows a person. Without one it is the person's own id, so that the
// ident of a decision names the subject that it was recorded for.
const anonymousID = "anonymous_id"

// whose verifies that each decision is of the subject that the bundle says, as far as its ident tells, and tells which
// decisions name the person by nothing that the bundle has. That may be in order: names are taken away and changed.
func (v *verification) whose() {
	before := len(v.report.Checks)
	p, known, told := &v.bundle.Person, map[named]bool{}, 0
	for _, id := range p.Identifiers {
		known[named{id.Kind, id.Value}] = true
	}
	for _, id := range append([]string{p.ID}, p.Merged...) {
		known[named{anonymousID, id}], known[named{"subject_id", id}] = true, true
	}
	unknown := map[string][]int{}
	for i := range v.facts {
		f, d := &v.facts[i], &v.bundle.Decisions[i]
		if own := f.ownID(); own != "" {
			if told++; own != d.Subject {
				v.fails(DataFile, i+1, "subject", "Decision %d was recorded for person %.80q, and the bundle says for %.80q.", i+1,
					own, d.Subject)
			}
		}
		if !f.namedBy(known) {
			unknown[f.names()] = append(unknown[f.names()], i+1)
		}
	}
	if told > 0 {
		v.kind(before, "%d decisions name the person whom they were recorded for: it is the one of the bundle.", told)
	}
	v.tellUnknown(unknown)
}

// ownID gives the subject's own id where a decision has it; empty: a browser's id is there instead, or nothing.
func (f *facts) ownID() string {
	if slices.Contains(f.Who, named{anonymousID, f.AnonymousID}) {
		return ""
	}
	return f.AnonymousID
}

// namedBy tells whether a decision names somebody by one of some names.
func (f *facts) namedBy(known map[named]bool) bool {
	return slices.ContainsFunc(f.Who, func(n named) bool { return known[n] })
}

// names shows how a decision names somebody.
func (f *facts) names() string {
	var out []string
	for _, n := range f.Who {
		out = append(out, fmt.Sprintf("%.40s %.100q", n.Name, n.Value))
	}
	return strings.Join(out, ", ")
}

// mostTold is how many notes of a kind there are, and how many decisions one of them names.
const mostTold = 10

// tellUnknown tells of decisions, by the names that they have and the bundle does not.
func (v *verification) tellUnknown(unknown map[string][]int) {
	groups := make([]string, 0, len(unknown))
	for names := range unknown {
		groups = append(groups, names)
	}
	slices.SortFunc(groups, func(a, b string) int { return unknown[a][0] - unknown[b][0] })
	for at, names := range groups {
		if at == mostTold {
			v.note("So it is with the decisions of %d other sets of names.", len(groups)-at)
			break
		}
		if numbers := numbered(unknown[names]); names == "" {
			v.note("%s by no identifier.", numbers+" name the person")
		} else {
			v.note("%s %s, which is not among the identifiers that the bundle has of the person. They may have been changed "+
				"since.", numbers+" name", names)
		}
	}
}

// numbered names decisions by their numbers, some of them where they are many.
func numbered(all []int) string {
	var out []string
	for _, n := range all[:min(len(all), mostTold)] {
		out = append(out, strconv.Itoa(n))
	}
	text := "Decisions " + strings.Join(out, ", ")
	if more := len(all) - len(out); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// unproved tells what of a bundle rests on the word of whoever made it. The page, the README and docs/evidence.md have
// the same list.
func (v *verification) unproved() {
	for _, what := range Unproved {
		v.note("Not covered by any proof, the operator's word alone: %s.", what)
	}
}

// Unproved is what of a bundle no proof covers: it is the word of whoever made it.
var Unproved = []string{
	"the organization's name",
	"the identifiers that the person has now; what each decision names is covered",
	"ids of the same person (merged) for which no decision here was recorded, and that no merge was undone",
	"that no later entry changed what a version of a purpose says, or ended it",
	"the ids of events; their numbers in the ledger are covered",
	"from when to when each key signed (keys.json)",
	"that there are no other decisions by the person",
}
