package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentd/consentd/client"
)

// fill records decisions of a few people, over all that identifies them.
func (s *importShop) fill(t testing.TB, random *rand.Rand, n int, purposes ...string) {
	t.Helper()
	var decisions []client.Decision
	states := []string{client.Accepted, client.Declined, client.Withdrawn, client.Implied, client.Viewed}
	for range n {
		who := random.IntN(9)
		names := client.Identifiers{Email: fmt.Sprintf("p%d@example.com", who)}
		if random.IntN(3) == 0 {
			names.UserID = fmt.Sprintf("u%d", who)
		}
		if random.IntN(3) == 0 {
			names.AnonymousID = fmt.Sprintf("b%d", who)
		}
		if names.UserID == "" && names.AnonymousID != "" && random.IntN(2) == 0 {
			names.Email = ""
		}
		decisions = append(decisions, client.Decision{Identifiers: names, Purpose: purposes[random.IntN(len(purposes))],
			State: states[random.IntN(len(states))], OccurredAt: time.Date(2026, 1, 1, 0, random.IntN(90000), 0, 0, time.UTC),
			Evidence: client.Evidence{Country: []string{"DE", "US"}[random.IntN(2)], DisplayedText: "Yes, \"news\"\n"},
			Metadata: map[string]any{"step": 3.0, "from": "form"}})
	}
	for i := range decisions {
		if random.IntN(3) == 0 {
			decisions[i].ExpiresAt = decisions[i].OccurredAt.Add(time.Duration(1+random.IntN(10_000)) * time.Hour)
		}
	}
	for chunk := range slices.Chunk(decisions, 500) {
		if _, err := s.client(t).Record(context.Background(), chunk...); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *importShop) export(t testing.TB, dir string, more ...string) *process {
	t.Helper()
	return command(t, s.env, append([]string{"export", "--to", dir, "--organization", s.o.organization}, more...)...)
}

// eventsIn gives the ids of the events in a folder, in its order.
func eventsIn(t testing.TB, dir string) (ids []string) {
	t.Helper()
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range m.Parts {
		if part.Kind != kindEvents {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, part.Name))
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var e struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// ids gives the ids of all events on record.
func (s *importShop) ids(t testing.TB) (ids []string) {
	t.Helper()
	for e, err := range s.client(t).ExportEvents(context.Background(), client.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// TestExport writes a folder, adds to it, and holds it to its manifest.
func TestExport(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	random := rand.New(rand.NewPCG(1, 1))
	s.fill(t, random, 300, "marketing", "analytics")
	dir := filepath.Join(t.TempDir(), "exported")
	p := s.export(t, dir, "--part", "100")
	hold(t, "the output", p.out.String(), "Exported 300 events to "+dir+", now 300 events in all, with ")
	if got, want := eventsIn(t, dir), s.ids(t); !slices.Equal(got, want) {
		t.Errorf("%d events, and not %d", len(got), len(want))
	}
	hold(t, "the error", s.export(t, dir, "--part", "100").errOut.String(),
		"is complete; add what was recorded since by --since last")
	s.fill(t, random, 50, "functional")
	if p = s.export(t, dir, "--since", "last"); p.code != 0 {
		t.Errorf("exit code %d: %s", p.code, p.errOut.String())
	}
	if got, want := eventsIn(t, dir), s.ids(t); !slices.Equal(got, want) {
		t.Errorf("%d events, and not %d", len(got), len(want))
	}
	p = command(t, nil, "export", "--verify", dir)
	hold(t, "the output", p.out.String(), "350 events in 6 files: all are what was written.")
	for file, says := range map[string]string{"events-000001.ndjson": "is not what was written",
		"consents.ndjson": "is missing"} {
		name := filepath.Join(dir, file)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if text[5] ^= 1; strings.HasPrefix(file, "consents") {
			err = os.Remove(name)
		} else {
			err = os.WriteFile(name, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p = command(t, nil, "export", "--verify", dir); p.code != exitFailed ||
			!strings.Contains(p.out.String(), file+" "+says) {
			t.Errorf("exit code %d: %s", p.code, p.out.String())
		}
	}
}

// TestExportOfTables counts what tables hold.
func TestExportOfTables(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	s.fill(t, rand.New(rand.NewPCG(2, 1)), 200, "marketing")
	for _, form := range []string{"csv", "parquet"} {
		dir := filepath.Join(t.TempDir(), form)
		p := s.export(t, dir, "--format", form)
		hold(t, "the output", p.out.String(), "Exported 200 events to", "now 200 events in all, with 9 consents and ")
		s.fill(t, rand.New(rand.NewPCG(3, 1)), 10, "marketing")
		hold(t, "the output", s.export(t, dir, "--format", form, "--since", "last").out.String(), "Exported 10 events",
			"now 210 events")
		if p = command(t, nil, "export", "--verify", dir); p.code != 0 {
			t.Errorf("%s", p.out.String())
		}
		s = newImportShop(t)
		s.fill(t, rand.New(rand.NewPCG(2, 1)), 200, "marketing")
	}
}

// TestExportGoesOn kills the program or the server at random points: in the end each event is there once, in order.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &importShop{p: serveOn(t, dir, []string{"CONSENTD_ROOT_KEY=" + rootKey})}
	s.o = newTenant(t, s.p)
	listen := strings.TrimPrefix(s.p.url, "http://")
	s.env = []string{"CONSENTD_URL=" + s.p.url, "CONSENTD_KEY=" + rootKey}
	s.fill(t, rand.New(rand.NewPCG(4, 1)), 20_000, "marketing", "analytics")
	want, folder := s.ids(t), filepath.Join(t.TempDir(), "exported")
	seed := rand.Uint64()
	logFailed(t, "seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	args := []string{"export", "--to", folder, "--organization", s.o.organization, "--part", "1500"}
	for kill := range 8 {
		p := launch(t, s.env, args...)
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		if kill%2 == 0 {
			p.signal(t, syscall.SIGKILL)
		} else {
			s.p.signal(t, syscall.SIGKILL)
			<-s.p.ended
			s.p = serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, "serve", "--listen", listen, "--data", dir)
		}
		p.wait(t, time.Minute)
	}
	p := command(t, s.env, args...)
	if p.code != 0 && !strings.Contains(p.errOut.String(), "is complete") {
		t.Fatalf("exit code %d: %s", p.code, p.errOut.String())
	}
	if got := eventsIn(t, folder); !slices.Equal(got, want) {
		t.Errorf("%d events, and not %d", len(got), len(want))
	}
	if p = command(t, nil, "export", "--verify", folder); p.code != 0 {
		t.Errorf("%s", p.out.String())
	}
}

// TestRoundTrip exports an organization and imports it into an empty one: consents and texts are the same then.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := newImportShop(t)
	ctx := context.Background()
	seed := rand.Uint64()
	logFailed(t, "seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	purposes := []string{"marketing", "news", "calls"}
	for round := range 4 {
		if round > 0 {
			s = &importShop{p: s.p, env: s.env, o: newTenant(t, s.p)}
		}
		for _, key := range purposes[1:] {
			made, err := s.client(t).CreatePurpose(ctx, client.NewPurpose{Key: key, Name: "About " + key,
				LegalText: "Text\n\"1\"", Duration: "P6M", LegalBasis: "consent",
				Texts: map[string]client.Text{"de": {Name: "Über", LegalText: "Texte"}}})
			if err == nil {
				_, err = s.client(t).UpdatePurpose(ctx, key, map[string]any{"legalText": "Text 2"}, made.ETag)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s.fill(t, random, 200, purposes...)
		dir := filepath.Join(t.TempDir(), "exported")
		if p := s.export(t, dir, "--part", "70"); p.code != 0 {
			t.Fatalf("exit code %d: %s", p.code, p.errOut.String())
		}
		other := &importShop{p: s.p, env: s.env, o: newTenant(t, s.p)}
		p := other.run(t, dir, "--source", "old", "--purposes", filepath.Join(dir, "purposes.json"))
		hold(t, "the output", p.out.String(), "(ndjson): 200 taken, 0 duplicates, 0 refused by the server")
		if was, is := s.standing(t, purposes), other.standing(t, purposes); was != is {
			t.Fatalf("round %d: it was\n%s\nand is\n%s", round, was, is)
		}
	}
}

// standing tells of all people how their consents stand, and what the purposes say.
func (s *importShop) standing(t testing.TB, purposes []string) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	for who := range 9 {
		for _, names := range []client.Identifiers{{Email: fmt.Sprintf("p%d@example.com", who)},
			{UserID: fmt.Sprintf("u%d", who)},
			{AnonymousID: fmt.Sprintf("b%d", who)}} {
			answer, err := s.client(t).Check(ctx, client.Question{Identifiers: names, Purposes: purposes})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range answer.Results {
				fmt.Fprintln(&b, names, r.Purpose, r.Granted, r.State, r.Reason, r.DecidedAt.UTC(), r.ExpiresAt.UTC(),
					answer.Ambiguous)
			}
		}
	}
	for _, key := range purposes {
		p, err := s.client(t).Purpose(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, key, p.Name, p.LegalText, p.Texts, p.Duration, p.LegalBasis)
	}
	return b.String()
}
