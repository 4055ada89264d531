// Package concord knows the answers of Concord's lists of consent events, and nothing of its calls.
//
// It follows the list that the adapter answers by the vendor's reference (internal/protocol/concord/README.md): pages
// {"offset","count","total","items":[…]}, one behind the other, in an array or an item a line. An item's id is the
// externalId, its concordId an anonymous id; the identifiers that consentd's own lists add are taken too. Category,
// subcategory and label name the purpose, as "category/subcategory/label" in purposes of a map; those that a new
// project starts with need no map. A date that the tool gave an import is the date of its decision.
package concord

import (
	"strings"

	"github.com/consentd/consentd/internal/importing"
)

// Format reads them.
var Format = &importing.Format{Name: "concord", Reads: "a list of consent events of Concord privacy-v1 (JSON)",
	New: func(o *importing.Options) (func(*importing.Part) (importing.Reader, error), error) {
		each := func(i *importing.Item) error { return item(o, i) }
		return func(p *importing.Part) (importing.Reader, error) {
			return importing.NewItems(p, []string{"items"}, each)
		}, nil
	},
	Knows: func(h *importing.Head) bool { return h.Members.Has("consentstate") && h.Members.Has("consentdate") },
}

// purposes are those that a new project of consentd starts with (contracts, "Purposes").
var purposes = map[string]string{
	"privacy_setting/strictly_necessary/*": "strictly_necessary", "privacy_setting/functional/*": "functional",
	"privacy_setting/analytics/*": "analytics", "privacy_setting/marketing/*": "marketing",
	"privacy_setting/experience/*": "experience", "privacy_setting/do_not_sell/*": "do_not_sell",
	"custom/unclassified/retargeting": "retargeting", "custom/unclassified/tracking": "tracking",
	"custom/unclassified/none": "none", "communication/email/general_marketing": "general_marketing_opt_in",
	"disclosure/privacy_policy/*": "privacy_policy", "disclosure/terms_of_service/*": "terms_of_service",
}

// words are the documented states; what is withdrawn shows as declined.
var words = importing.Words{
	"accepted": {State: importing.Accepted}, "declined": importing.No(importing.Declined),
	"implied": {State: importing.Implied}, "viewed": {State: importing.Viewed},
}

// event is what is read of an item.
type event struct {
	ID             string `json:"id"`
	ConcordID      string `json:"concordId"`
	UserID         string `json:"userId"`
	ProjectUserID  string `json:"projectUserId"`
	Email          string `json:"email"`
	PhoneNumber    string `json:"phoneNumber"`
	Category       string `json:"category"`
	Subcategory    string `json:"subcategory"`
	Label          string `json:"label"`
	ConsentState   string `json:"consentState"`
	ConsentAction  string `json:"consentAction"`
	ConsentDate    string `json:"consentDate"`
	ExpirationDate string `json:"expirationDate"`
	Session        struct {
		IPAddress string `json:"ipAddress"`
		Domain    string `json:"domain"`
		Geography string `json:"geography"`
		UserAgent string `json:"userAgent"`
	} `json:"session"`
}

func item(o *importing.Options, i *importing.Item) error {
	var in event
	if err := i.Into(&in); err != nil {
		return err
	}
	l := importing.Line{ExternalID: in.ID, Action: in.ConsentAction, Evidence: importing.Evidence{IP: in.Session.IPAddress,
		Domain: in.Session.Domain, Country: in.Session.Geography, UserAgent: in.Session.UserAgent},
		Identifiers: importing.Identifiers{UserID: in.UserID, ProjectUserID: in.ProjectUserID, Email: in.Email,
			Phone: in.PhoneNumber, AnonymousID: in.ConcordID}}
	if in.Label == "" {
		in.Label = "*"
	}
	var err error
	if l.OccurredAt, err = o.At("consentDate", in.ConsentDate); err != nil {
		return err
	}
	if in.ExpirationDate != "" {
		if l.ExpiresAt, err = o.At("expirationDate", in.ExpirationDate); err != nil {
			return err
		}
	}
	triple := strings.Join([]string{in.Category, in.Subcategory, in.Label}, "/")
	if l.Purpose, err = o.PurposeOf(triple, purposes); err != nil {
		return err
	}
	if l.Purpose == "" {
		i.Out.LeaveOut("the map leaves its purpose out")
		return nil
	}
	means, err := o.StateOf(in.ConsentState, words)
	if err != nil {
		return err
	}
	if l.State = means.State; l.State == "" {
		i.Out.LeaveOut(means.LeftOut)
		return nil
	}
	return i.Out.Add(&l)
}
