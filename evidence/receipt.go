package evidence

import (
	"io"
)

// The receipt: a consent record for each decision, as ISO/IEC TS 27560:2023 asks for it, in the terms of W3C's Data
// Privacy Vocabulary (https://w3id.org/dpv/guides/consent-27560). Its context is inside, so that nobody fetches one.

type (
	receipt struct {
		Context map[string]string `json:"@context"`
		Graph   []record          `json:"@graph"`
	}
	ref struct {
		ID string `json:"@id"`
	}
	// typed is a value with a data type.
	typed struct {
		Type  string `json:"@type"`
		Value string `json:"@value"`
	}
	// thing is something with a name: a person, a purpose, an organization, a notice, a place.
	thing struct {
		ID          string `json:"@id,omitempty"`
		Type        string `json:"@type"`
		Identifier  string `json:"dct:identifier,omitempty"`
		Name        string `json:"dpv:hasName,omitempty"`
		Title       string `json:"dct:title,omitempty"`
		Description string `json:"dct:description,omitempty"`
		Version     string `json:"dct:hasVersion,omitempty"`
		Source      string `json:"dct:source,omitempty"`
	}
	record struct {
		ID           string  `json:"@id"`
		Type         string  `json:"@type"`
		ConformsTo   ref     `json:"dct:conformsTo"`
		Identifier   string  `json:"dpv:hasIdentifier"`
		Subject      thing   `json:"dpv:hasDataSubject"`
		Controller   thing   `json:"dpv:hasDataController"`
		Purpose      thing   `json:"dpv:hasPurpose"`
		LegalBasis   []ref   `json:"dpv:hasLegalBasis,omitempty"`
		Status       ref     `json:"dpv:hasConsentStatus"`
		IndicatedBy  string  `json:"dpv:isIndicatedBy"`
		Date         *typed  `json:"dct:date,omitempty"`
		Recorded     *typed  `json:"dct:created,omitempty"`
		Valid        *typed  `json:"dct:valid,omitempty"`
		Notice       []thing `json:"dpv:hasNotice,omitempty"`
		Language     string  `json:"dct:language,omitempty"`
		Jurisdiction *thing  `json:"dpv:hasJurisdiction,omitempty"`
		Regime       string  `json:"consentd:regime,omitempty"`
		Sequence     int64   `json:"consentd:ledgerSequence"`
		// Missing are fields of the specification of which the ledger holds nothing.
		Missing []string `json:"consentd:missing"`
	}
)

var receiptContext = map[string]string{
	"dpv":      "https://w3id.org/dpv#",
	"eu-gdpr":  "https://w3id.org/dpv/legal/eu/gdpr#",
	"dct":      "http://purl.org/dc/terms/",
	"xsd":      "http://www.w3.org/2001/XMLSchema#",
	"consentd": "urn:consentd:terms:",
}

const recordProfile = "https://w3id.org/dpv/schema/dpv-27560#record"

var basisTerms = map[string]string{
	"consent": "eu-gdpr:A6-1-a", "contract": "eu-gdpr:A6-1-b", "legal_obligation": "eu-gdpr:A6-1-c",
	"vital_interests": "eu-gdpr:A6-1-d", "public_task": "eu-gdpr:A6-1-e", "legitimate_interests": "eu-gdpr:A6-1-f",
}

var statusTerms = map[string]string{
	"accepted": "dpv:ConsentGiven", "declined": "dpv:ConsentRefused", "withdrawn": "dpv:ConsentWithdrawn",
	"viewed": "dpv:ConsentRequested",
}

// notConfigured are the fields of the specification that nobody can tell a ledger of decisions.
var notConfigured = []string{"pii_information (dpv:hasPersonalData)", "storage_locations (dpv:hasStorageCondition)",
	"retention_period (dpv:hasStorageCondition)", "recipient_third_parties (dpv:hasRecipient)",
	"withdrawal_method (dpv:hasConsentControl)", "party_address (dpv:hasAddress)", "party_contact (dpv:hasContact)"}

// writeReceipt makes receipt.jsonld, record by record: what an organization or a version says of itself is in each.
func writeReceipt(w io.Writer, p *page) error {
	head, err := encode(&receipt{receiptContext, []record{}})
	if err != nil {
		return err
	}
	return writeList(w, head, len(p.Decisions), func(i int) any {
		f := p.facts(i)
		return recordOf(p.Bundle, &p.Decisions[i], f, p.versions[f.versionKey()])
	})
}

func recordOf(b *Bundle, d *Decision, f *facts, v *Version) record {
	r := record{ID: "urn:uuid:" + d.Event, Type: "dpv:ConsentRecord", ConformsTo: ref{recordProfile}, Identifier: d.Event,
		Subject: thing{ID: "urn:uuid:" + b.Person.ID, Type: "dpv:DataSubject", Identifier: b.Person.ID},
		Controller: thing{ID: "urn:uuid:" + b.Organization.ID, Type: "dpv:DataController",
			Identifier: b.Organization.ID, Name: b.Organization.Name},
		Purpose:  thing{Type: "dpv:Purpose", Identifier: f.Purpose},
		Status:   ref{statusOf(f)},
		Language: f.Locale, Regime: f.Regime, Sequence: d.Sequence,
		Date: instantOf(f.OccurredAt), Recorded: instantOf(d.RecordedAt), Valid: instantOf(f.expires()),
		IndicatedBy: inWords(actionWords, f.Action)}
	if v != nil {
		r.Purpose.Title, r.Purpose.Description, r.Purpose.Source = v.Name, v.Description, v.URL
		r.Purpose.Version = versionText(v.Version)
		if term, ok := basisTerms[v.LegalBasis]; ok {
			r.LegalBasis = []ref{{term}}
		}
		if v.LegalBasis == "consent" {
			r.LegalBasis = append(r.LegalBasis, ref{consentType(f)})
		}
	}
	if f.Text != "" {
		r.Notice = append(r.Notice, thing{Type: "dpv:ConsentNotice", Identifier: hashPrefix + f.Text,
			Source: textFolder + f.Text + textSuffix})
	}
	if f.NoticeURL != "" {
		r.Notice = append(r.Notice, thing{Type: "dpv:PrivacyNotice", Source: f.NoticeURL})
	}
	if f.Country != "" && f.Country != "UNKNOWN" {
		r.Jurisdiction = &thing{Type: "dpv:Jurisdiction", Identifier: f.Country}
	}
	r.Missing = missing(&r)
	return r
}

// missing names the fields of which nothing is known.
func missing(r *record) []string {
	var out []string
	for _, field := range []struct {
		lacks bool
		name  string
	}{{len(r.Notice) == 0, "privacy_notice (dpv:hasNotice)"}, {r.Language == "", "language (dct:language)"},
		{len(r.LegalBasis) == 0, "lawful_basis (dpv:hasLegalBasis)"},
		{r.Jurisdiction == nil, "jurisdiction (dpv:hasJurisdiction)"},
		{r.Controller.Name == "", "party_name (dpv:hasName)"}, {r.Valid == nil, "validity_duration (dct:valid)"}} {
		if field.lacks {
			out = append(out, field.name)
		}
	}
	return append(out, notConfigured...)
}

// statusOf gives what a decision says. What was implied holds only where the regime lets it.
func statusOf(f *facts) string {
	if term, ok := statusTerms[f.State]; ok {
		return term
	}
	if f.State == "implied" && f.Regime == "opt-out" {
		return "dpv:ConsentGiven"
	}
	return "dpv:ConsentUnknown"
}

func consentType(f *facts) string {
	switch {
	case f.State == "implied" || f.Action == "implied":
		return "dpv:ImpliedConsent"
	case f.Action == "user_click":
		return "dpv:ExpressedConsent"
	}
	return "dpv:Consent"
}

func instantOf(at string) *typed {
	if at == "" {
		return nil
	}
	return &typed{"xsd:dateTime", at}
}
