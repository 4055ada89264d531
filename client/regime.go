package client

import (
	"context"
	"net/http"
	"time"
)

// Place asks which regime holds somewhere. One of Country, Region and IP is needed.
type Place struct {
	Country string    // ISO 3166-1, two letters, or UNKNOWN
	Region  string    // ISO 3166-2, such as US-CA
	IP      string    // an address; it stands in the request's URL
	At      time.Time // zero: now
	GPC     bool      // the person's browser sends Global Privacy Control
}

// Regime is which regime holds in a place, and why.
type Regime struct {
	Country  string          `json:"country"`
	Region   string          `json:"region"` // as asked for
	Level    string          `json:"level"`  // what the rule is of: "country"
	At       time.Time       `json:"at"`
	Regime   string          `json:"regime"` // opt-in or opt-out
	Rule     string          `json:"rule"`   // law, law_to_come, none_found, not_listed, unknown_place, operator
	Law      string          `json:"law"`
	Since    string          `json:"since"` // a day, or a year where no more is known
	Until    string          `json:"until"`
	Source   string          `json:"source"`
	GPC      string          `json:"gpc"` // honoured, without_effect; empty where there was no signal
	Purposes []PurposeRegime `json:"purposes"`
}

// PurposeRegime is what a regime means for a purpose.
type PurposeRegime struct {
	Purpose    string `json:"purpose"`
	LegalBasis string `json:"legalBasis"`
	Regime     string `json:"regime"` // opt-in, opt-out, or none where nobody is asked
	GPC        string `json:"gpc"`    // the state that Global Privacy Control asks for; empty: none
}

// Regime tells which regime holds in a place, and what follows for the purposes of the client's project.
func (c *Client) Regime(ctx context.Context, p Place) (Regime, error) {
	q := query("country", p.Country, "region", p.Region, "ip", p.IP, "at", instant(p.At), "project", c.config.Project)
	if p.GPC {
		q.Set("gpc", "1")
	}
	var found Regime
	err := c.do(ctx, call{method: http.MethodGet, path: "/regime", query: q}, &found)
	return found, err
}

// instant is a time in a query; empty where there is none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
