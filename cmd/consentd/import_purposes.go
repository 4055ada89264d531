package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/consentd/consentd/client"
)

// exportedPurposes is purposes.json of an export.
type exportedPurposes struct {
	Purposes []exportedPurpose `json:"purposes"`
}

// exportedPurpose is a purpose with all that it ever said.
type exportedPurpose struct {
	client.Purpose
	Versions []client.PurposeVersion `json:"versions"`
}

// maxPurposes is how large purposes.json may be.
const maxPurposes = 256 << 20

func readPurposes(name string) (*exportedPurposes, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > maxPurposes {
		return nil, fmt.Errorf("%s has more than %d MiB", name, maxPurposes>>20)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	exported := &exportedPurposes{}
	if err := json.Unmarshal(text, exported); err != nil {
		return nil, fmt.Errorf("%s is no purposes.json of an export: %w", name, err)
	}
	return exported, nil
}

// makePurposes makes the purposes of an export that the project has not yet, as they are now. Of the project that
// events are taken of, where there are several.
func (r *importRun) makePurposes(ctx context.Context) error {
	if r.Purposes == "" {
		return nil
	}
	exported, err := readPurposes(r.Purposes)
	if err != nil {
		return fmt.Errorf("--purposes: %w", err)
	}
	there := map[string]bool{}
	err = persist(ctx, r.err, func() error {
		for p, err := range r.server.Purposes(ctx) {
			if err != nil {
				return err
			}
			there[p.Key] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range exported.Purposes {
		if there[p.Key] || r.OnlyProject != "" && p.Project != r.OnlyProject {
			continue
		}
		if r.DryRun {
			fmt.Fprintf(r.err, "NOTE  Purpose %s would be made; a dry run refuses what is about it.\n", printable(p.Key))
			continue
		}
		made := client.NewPurpose{Key: p.Key, Name: p.Name, Description: p.Description, LegalText: p.LegalText, URL: p.URL,
			Category: p.Category, Subcategory: p.Subcategory, Label: p.Label, Duration: p.Duration, LegalBasis: p.LegalBasis,
			RequireReaccept: p.RequireReaccept, Required: p.Required, Status: p.Status, Texts: p.Texts}
		err := persist(ctx, r.err, func() error {
			_, err := r.server.CreatePurpose(ctx, made)
			if client.IsConflict(err) { // it was made by a call of which no answer came
				if _, missing := r.server.Purpose(ctx, p.Key); missing == nil {
					return nil
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("make purpose %s: %w", printable(p.Key), err)
		}
	}
	return nil
}
