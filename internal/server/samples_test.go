package server_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/webtest"
)

// sample is a call that succeeds. Everything else of the suite follows from it.
// target, headers and body are templates; see harness for the variables.
type sample struct {
	target  string
	headers map[string]string // credentials: {{key}}, {{basic}}, {{token}}, {{root}}
	body    string
	status  int             // of success
	scopes  []consent.Scope // all are needed; none: see root, open and tokens
	root    bool            // for the root key alone
	open    bool            // for everybody
	reads   string          // why a call by POST is no write: its answer is not kept
	spare   bool            // the body may be absent or null
	plain   bool            // a call by POST that takes no JSON
}

const (
	concordOrg     = "/privacy-v1/organizations/{{org}}"
	concordProject = concordOrg + "/projects/{{project}}"
	nativeJobs     = "/api/v1/organizations/{{org}}/jobs"
	nativeKeys     = "/api/v1/organizations/{{org}}/keys"
	nativeSubjects = "/api/v1/organizations/{{org}}/subjects"
	nativePurposes = "/api/v1/organizations/{{org}}/projects/{{project}}/purposes"
	nativePurpose  = nativePurposes + "/{{purpose}}"
	nativeLedger   = "/api/v1/organizations/{{org}}/ledger"
	nativeImports  = "/api/v1/organizations/{{org}}/imports"
	nativeWebhooks = "/api/v1/organizations/{{org}}/webhooks"
	nativeWebhook  = nativeWebhooks + "/{{webhookid}}"
)

var (
	concordKey  = map[string]string{"x-api-key": "{{key}}", "Content-Type": "application/json"}
	concordRoot = map[string]string{"x-api-key": "{{root}}", "Content-Type": "application/json"}
	slashKey    = map[string]string{"SlashID-OrgID": "{{org}}", "SlashID-API-Key": "{{key}}",
		"Content-Type": "application/json"}
	bearerToken = map[string]string{"Authorization": "Bearer {{token}}", "Content-Type": "application/json"}
	bearerKey   = map[string]string{"Authorization": "Bearer {{key}}", "Content-Type": "application/json"}
	basicKey    = map[string]string{"Authorization": "Basic {{basic}}", "Content-Type": "application/json"}
)

// samples has a row for every route: "METHOD pattern".
var samples = map[string][]sample{
	"POST /privacy-v1/organizations": {{target: "/privacy-v1/organizations", headers: concordRoot, status: 201, root: true,
		body: `{"name":"Shop {{n}}","primaryDomain":"shop.example","privacyPolicyUrl":"https://shop.example/privacy",` +
			`"contactEmails":["c{{n}}.{{email}}"]}`}},
	"GET /privacy-v1/organizations": {{target: "/privacy-v1/organizations?name=x&limit=5", headers: concordKey,
		status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"GET /privacy-v1/organizations/{organizationId}": {{target: concordOrg, headers: concordKey, status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"POST /privacy-v1/organizations/{organizationId}/projects": {{target: concordOrg + "/projects", headers: concordKey,
		status: 201,
		scopes: []consent.Scope{consent.OrganizationsWrite}, body: `{"name":"Site {{n}}",` +
			`"contactEmails":["p{{n}}.{{email}}"]}`}},
	"GET /privacy-v1/organizations/{organizationId}/projects": {{target: concordOrg + "/projects", headers: concordKey,
		status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"POST /privacy-v1/organizations/{organizationId}/projects/{projectId}/consent-types": {{target: concordProject +
		"/consent-types",
		headers: concordKey, status: 201, scopes: []consent.Scope{consent.ConsentsWrite},
		body: `{"category":"custom","subcategory":"mail","label":"m{{n}}","name":"Mail {{n}}","document":"long"}`}},
	"GET /privacy-v1/organizations/{organizationId}/projects/{projectId}/consent-types": {{target: concordProject +
		"/consent-types",
		headers: concordKey, status: 200, scopes: []consent.Scope{consent.ConsentsRead}}},
	"POST /privacy-v1/organizations/{organizationId}/projects/{projectId}/consent-events": {
		{target: concordProject + "/consent-events", headers: concordKey, status: 201,
			scopes: []consent.Scope{consent.ConsentsWrite},
			body: `{"items":[{"email":"e{{n}}.{{email}}","phoneNumber":"{{phone}}","category":"privacy_setting",` +
				`"subcategory":"marketing",` +
				`"consentState":"accepted","consentAction":"user_click"}]}`},
		{target: concordProject + "/consent-events", headers: concordKey, status: 201,
			scopes: []consent.Scope{consent.ConsentsWrite},
			body: `{"items":[{"userId":"{{person}}","concordId":"{{device}}","consentType":"{{type}}",` +
				`"consentState":"declined","consentAction":"import"}]}`},
	},
	"GET /privacy-v1/organizations/{organizationId}/projects/{projectId}/consent-events": {
		{target: concordProject + "/consent-events", headers: concordKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
		{target: concordProject + "/consent-events?email={{email}}&userId={{person}}&concordId={{device}}",
			headers: concordKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
	},
	"GET /privacy-v1/organizations/{organizationId}/consent-events": {
		{target: concordOrg + "/consent-events?limit=10", headers: concordKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
		{target: concordOrg + "/consent-events?projectIds={{project}}", headers: concordKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
		{target: concordOrg + "/consent-events?submitter={{keyid}}&email={{email}}", headers: concordKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
	},

	"GET /persons/{person_id}/consent/gdpr": {{target: "/persons/{{person}}/consent/gdpr", headers: slashKey, status: 200,
		scopes: []consent.Scope{consent.ConsentsRead}}},
	"POST /persons/{person_id}/consent/gdpr": {{target: "/persons/{{person}}/consent/gdpr", headers: slashKey, status: 201,
		scopes: []consent.Scope{consent.ConsentsWrite}, body: `{"consent_levels":["tracking"]}`}},
	"PUT /persons/{person_id}/consent/gdpr": {{target: "/persons/{{person}}/consent/gdpr", headers: slashKey, status: 200,
		scopes: []consent.Scope{consent.ConsentsWrite}, body: `{"consent_levels":["retargeting"]}`}},
	"DELETE /persons/{person_id}/consent/gdpr": {{target: "/persons/{{person}}/consent/gdpr?deleteAll=true",
		headers: slashKey, status: 204,
		scopes: []consent.Scope{consent.ConsentsWrite}}},
	"GET /consent/gdpr": {{target: "/consent/gdpr", headers: bearerToken, status: 200}},
	"POST /consent/gdpr": {{target: "/consent/gdpr", headers: bearerToken, status: 201,
		body: `{"consent_levels":["tracking"]}`}},
	"PUT /consent/gdpr": {{target: "/consent/gdpr", headers: bearerToken, status: 200,
		body: `{"consent_levels":["necessary"]}`}},
	"DELETE /consent/gdpr": {{target: "/consent/gdpr?consent_levels=marketing", headers: bearerToken, status: 204}},
	"OPTIONS /consent/gdpr": {{target: "/consent/gdpr", headers: map[string]string{"Origin": "https://shop.example",
		"Access-Control-Request-Method": "PUT"}, status: 204, open: true}},
	"POST /persons": {{target: "/persons", headers: slashKey, status: 201, scopes: []consent.Scope{consent.SubjectsWrite},
		body: `{"handles":[{"type":"email_address","value":"s{{n}}.{{email}}"}],"attributes":{"k":"{{word}}"}}`}},
	"PUT /persons": {{target: "/persons", headers: slashKey, status: 201, scopes: []consent.Scope{consent.SubjectsWrite},
		body: `{"handles":[{"type":"email_address","value":"u{{n}}.{{email}}"}]}`}},
	"GET /persons/{person_id}": {{target: "/persons/{{person}}", headers: slashKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsRead}}},
	"DELETE /persons/{person_id}": {{target: "/persons/{{doomedperson}}", headers: slashKey, status: 204,
		scopes: []consent.Scope{consent.SubjectsWrite}}},
	"POST /persons/{person_id}/mint-token": {{target: "/persons/{{person}}/mint-token", headers: slashKey, status: 201,
		spare: true, scopes: []consent.Scope{consent.ConsentsWrite,
			consent.ConsentsRead}, body: `{"custom_claims":{"k":"v"}}`}},
	"GET /.well-known/jwks.json": {{target: "/.well-known/jwks.json", status: 200, open: true}},

	"POST /consent-hub/consent": {{target: "/consent-hub/consent", headers: basicKey, status: 202,
		scopes: []consent.Scope{consent.ManageHub},
		body: `{"consents":[{"key":"generalMarketingOptIn","granted":true,"displayedText":"Yes {{word}}"}],` +
			`"email":"{{email}}",` +
			`"formUrl":"https://shop.example/form","locale":"NL","providerId":"{{person}}"}`}},
	"POST /consent-hub/consent-config/get": {{target: "/consent-hub/consent-config/get", headers: basicKey, status: 200,
		reads:  "the vendor asks about a person by POST, so that no URL has an address; nothing is recorded",
		scopes: []consent.Scope{consent.ManageHub}, body: `{"email":"{{email}}","userIp":"185.166.140.232"}`}},

	"GET /v1/subjects": {
		{target: "/v1/subjects?max=50", headers: bearerKey, status: 200, scopes: []consent.Scope{consent.SubjectsRead}},
		{target: "/v1/subjects?type=user&id={{subject}}", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.SubjectsRead}},
	},
	"POST /v1/subjects/{type}": {{target: "/v1/subjects/user", headers: bearerKey, status: 201,
		scopes: []consent.Scope{consent.SubjectsWrite},
		body:   `{"data":{"note":"{{word}}"}}`}},
	"POST /v1/subjects/{type}/{subjectId}": {{target: "/v1/subjects/user/{{subject}}", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"data":{"more":"m{{n}}"}}`}},
	"PATCH /v1/subjects/{type}/{subjectId}": {{target: "/v1/subjects/user/{{subject}}?saveOption=rewrite",
		headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"data":{"anew":true}}`}},
	"GET /v1/subjects/{type}/{subjectId}": {{target: "/v1/subjects/user/{{subject}}", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsRead}}},
	"DELETE /v1/subjects/{type}/{subjectId}": {{target: "/v1/subjects/user/{{doomedsubject}}", headers: bearerKey,
		status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}}},

	"POST /api/v1/organizations/{organizationId}/keys": {{target: nativeKeys, headers: bearerKey, status: 201,
		scopes: []consent.Scope{consent.OrganizationsWrite}, body: `{"name":"key {{n}}","scopes":["organizations:write"]}`}},
	"GET /api/v1/organizations/{organizationId}/keys": {{target: nativeKeys + "?limit=3", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"POST /api/v1/organizations/{organizationId}/imports": {{target: nativeImports, headers: bearerKey, status: 201,
		scopes: []consent.Scope{consent.ImportsWrite}, body: `{"source":"old-{{n}}","project":"{{project}}"}`}},
	"GET /api/v1/organizations/{organizationId}/imports": {{target: nativeImports + "?state=open&source={{word}}&limit=1",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.ImportsWrite}}},
	"GET /api/v1/organizations/{organizationId}/imports/{importId}": {{target: nativeImports + "/{{import}}",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.ImportsWrite}}},
	"GET /api/v1/organizations/{organizationId}/imports/{importId}/errors": {{
		target: nativeImports + "/{{import}}/errors?limit=1", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.ImportsWrite}}},
	"POST /api/v1/organizations/{organizationId}/imports/{importId}/lines": {{
		target: nativeImports + "/{{import}}/lines?from=1", status: 200, scopes: []consent.Scope{consent.ImportsWrite},
		headers: map[string]string{"Authorization": "Bearer {{key}}", "Content-Type": "application/x-ndjson"}, plain: true,
		reads: "lines that were taken are passed over; without any it tells how far the import is"}},
	"POST /api/v1/organizations/{organizationId}/imports/{importId}/finish": {{
		target: nativeImports + "/{{doomedimport}}/finish", headers: bearerKey, status: 200, plain: true,
		scopes: []consent.Scope{consent.ImportsWrite}}},
	"GET /api/v1/organizations/{organizationId}/regime": {{target: "/api/v1/organizations/{{org}}/regime" +
		"?region=US-CA&gpc=1&at=2026-03-01&project={{project}}", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.ConsentsRead}}},
	"GET /api/v1/organizations/{organizationId}/consents": {{target: "/api/v1/organizations/{{org}}/consents" +
		"?limit=3&project={{project}}&purpose=marketing&state=accepted", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.ConsentsRead}}},
	"POST /api/v1/organizations/{organizationId}/check": {
		{target: "/api/v1/organizations/{{org}}/check", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}, reads: "it asks, and creates nobody",
			body: `{"identifiers":{"userId":"{{person}}","email":"{{email}}"},"purposes":["marketing"],` +
				`"project":"{{project}}"}`},
		{target: "/api/v1/organizations/{{org}}/check", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}, reads: "it asks, and creates nobody",
			body: `{"subjects":[{"identifiers":{"phone":"{{phone}}"}},{"identifiers":{"anonymousId":"{{device}}"}}]}`},
		{target: "/api/v1/organizations/{{org}}/check", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}, reads: "it asks, and creates nobody",
			body: `{"identifiers":{"userId":"{{person}}"},"at":"2026-03-01T12:00:00Z","asRecorded":true}`},
	},
	"GET /api/v1/organizations/{organizationId}/subjects/{subjectId}/consents": {
		{target: nativeSubjects + "/{{subjectid}}/consents", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.ConsentsRead}},
		{target: nativeSubjects + "/{{subjectid}}/consents?at=2026-03-01T12:00:00Z&project={{project}}",
			headers: bearerKey, status: 200, scopes: []consent.Scope{consent.ConsentsRead}},
	},
	"POST /api/v1/organizations/{organizationId}/projects/{project}/purposes": {{target: nativePurposes,
		headers: bearerKey, status: 201, scopes: []consent.Scope{consent.OrganizationsWrite},
		body: `{"key":"key{{n}}","name":"Letters","legalText":"We write.","texts":{"de":{"name":"Briefe"}},` +
			`"category":"custom","subcategory":"letters","label":"label{{n}}"}`}},
	"GET /api/v1/organizations/{organizationId}/projects/{project}/purposes": {{target: nativePurposes + "?limit=3",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.OrganizationsRead}}},
	"GET /api/v1/organizations/{organizationId}/projects/{project}/purposes/{key}": {{target: nativePurpose,
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.OrganizationsRead}}},
	"PATCH /api/v1/organizations/{organizationId}/projects/{project}/purposes/{key}": {{target: nativePurpose,
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.OrganizationsWrite},
		body: `{"legalText":"We write {{n}} times.","texts":{"de":{"name":"Briefe"}}}`}},
	"GET /api/v1/organizations/{organizationId}/projects/{project}/purposes/{key}/versions": {{
		target: nativePurpose + "/versions?limit=3", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"GET /api/v1/organizations/{organizationId}/projects/{project}/purposes/{key}/versions/{version}": {{
		target: nativePurpose + "/versions/1", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"POST /api/v1/organizations/{organizationId}/projects/{project}/events": {{target: "/api/v1/organizations/{{org}}" +
		"/projects/{{project}}/events", headers: bearerKey, status: 201, scopes: []consent.Scope{consent.ConsentsWrite},
		body: `{"items":[{"identifiers":{"email":"{{email}}","anonymousId":"{{device}}"},"purpose":"analytics",` +
			`"state":"accepted","metadata":{"n":"{{n}}"}}]}`}},
	"GET /api/v1/organizations/{organizationId}/events": {{headers: bearerKey, status: 200,
		target: "/api/v1/organizations/{{org}}/events?limit=2&project={{project}}&subject={{subjectid}}&order=desc",
		scopes: []consent.Scope{consent.ConsentsRead}}},
	"GET /api/v1/organizations/{organizationId}/events/{eventId}": {{headers: bearerKey, status: 200,
		target: "/api/v1/organizations/{{org}}/events/{{eventid}}", scopes: []consent.Scope{consent.ConsentsRead}}},
	"DELETE /api/v1/organizations/{organizationId}/keys/{keyId}": {{target: nativeKeys + "/{{doomedkey}}",
		headers: bearerKey, status: 204,
		scopes: []consent.Scope{consent.OrganizationsWrite}}},
	"GET /api/v1/organizations/{organizationId}/jobs": {{target: nativeJobs + "?limit=3", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.OrganizationsRead}}},
	"POST /api/v1/organizations/{organizationId}/jobs/{jobId}/retry": {{target: nativeJobs + "/{{jobid}}/retry",
		headers: bearerKey, status: 200, body: `{"at":"2026-03-01T12:00:00Z"}`,
		scopes: []consent.Scope{consent.OrganizationsWrite}}},
	"DELETE /api/v1/organizations/{organizationId}/jobs/{jobId}": {{target: nativeJobs + "/{{doomedjob}}",
		headers: bearerKey, status: 204, scopes: []consent.Scope{consent.OrganizationsWrite}}},
	"GET /api/v1/organizations/{organizationId}/ledger/checkpoint": {{target: nativeLedger + "/checkpoint?cosigned=false",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.LedgerRead}}},
	"GET /api/v1/organizations/{organizationId}/ledger/keys": {{target: nativeLedger + "/keys",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.LedgerRead}}},
	"GET /api/v1/organizations/{organizationId}/ledger/proof": {{target: nativeLedger + "/proof?event={{eventid}}",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.LedgerRead}}},
	"GET /api/v1/organizations/{organizationId}/ledger/consistency": {{target: nativeLedger + "/consistency?from=1&to=3",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.LedgerRead}}},
	"GET /api/v1/organizations/{organizationId}/ledger/tile/*": {
		{target: nativeLedger + "/tile/0/000.p/3", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.LedgerRead}},
		{target: nativeLedger + "/tile/entries/000.p/3", headers: bearerKey, status: 200,
			scopes: []consent.Scope{consent.LedgerRead}},
	},
	"GET /api/v1/organizations/{organizationId}/subjects/{subjectId}/evidence": {{
		target: nativeSubjects + "/{{subjectid}}/evidence?since=1", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.LedgerRead, consent.ConsentsRead, consent.SubjectsRead}}},
	"GET /api/v1/organizations/{organizationId}/subjects/{subjectId}/export": {{
		target: nativeSubjects + "/{{subjectid}}/export", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsRead, consent.ConsentsRead}}},
	"POST /api/v1/organizations/{organizationId}/subjects:lookup": {{target: nativeSubjects + ":lookup",
		headers: bearerKey, status: 200, reads: "it looks somebody up by what must not stand in a URL",
		scopes: []consent.Scope{consent.SubjectsRead}, body: `{"identifiers":{"email":"{{email}}"}}`}},
	"GET /api/v1/organizations/{organizationId}/subjects/{subjectId}": {{target: nativeSubjects + "/{{subjectid}}",
		headers: bearerKey, status: 200, scopes: []consent.Scope{consent.SubjectsRead}}},
	"GET /api/v1/organizations/{organizationId}/subjects/{subjectId}/events": {{
		target: nativeSubjects + "/{{subjectid}}/events?limit=3", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.ConsentsRead}}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/identifiers": {{
		target: nativeSubjects + "/{{subjectid}}/identifiers", headers: bearerKey, status: 204,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"kind":"email","value":"n{{n}}.{{word}}@shop.example"}`}},
	"DELETE /api/v1/organizations/{organizationId}/subjects/{subjectId}/identifiers": {{
		target: nativeSubjects + "/{{subjectid}}/identifiers", headers: bearerKey, status: 204,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"kind":"phone","value":"{{doomedphone}}"}`}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/merge": {{
		target: nativeSubjects + "/{{subjectid}}/merge", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"subjectId":"{{otherid}}"}`}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/unmerge": {{
		target: nativeSubjects + "/{{subjectid}}/unmerge", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"subjectId":"{{mergedid}}"}`}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/restrict": {{
		target: nativeSubjects + "/{{contestedid}}/restrict", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"reason":"contested"}`}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/unrestrict": {{
		target: nativeSubjects + "/{{restrictedid}}/unrestrict", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsWrite}, body: `{"reason":"it is right"}`}},
	"GET /api/v1/organizations/{organizationId}/suppressions/count": {{
		target: "/api/v1/organizations/{{org}}/suppressions/count", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsRead}}},
	"POST /api/v1/organizations/{organizationId}/suppressions:check": {{
		target:  "/api/v1/organizations/{{org}}/suppressions:check",
		headers: bearerKey, status: 200, reads: "it asks about somebody by what must not stand in a URL",
		scopes: []consent.Scope{consent.SubjectsRead}, body: `{"identifiers":{"email":"{{email}}"}}`}},
	"POST /api/v1/organizations/{organizationId}/subjects/{subjectId}/erase": {{
		target: nativeSubjects + "/{{forgottenid}}/erase", headers: bearerKey, status: 200,
		scopes: []consent.Scope{consent.SubjectsErase}, body: `{"reason":"asked for it"}`}},
	"POST /api/v1/organizations/{organizationId}/webhooks": {{target: nativeWebhooks, headers: bearerKey, status: 201,
		scopes: []consent.Scope{consent.WebhooksWrite},
		body:   `{"url":"https://hook{{n}}.{{word}}.example/in","events":["consent.*"],"description":"of {{word}}"}`}},
	"GET /api/v1/organizations/{organizationId}/webhooks": {{target: nativeWebhooks + "?limit=3", headers: bearerKey,
		status: 200, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"GET /api/v1/organizations/{organizationId}/webhooks/{webhookId}": {{target: nativeWebhook, headers: bearerKey,
		status: 200, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"PATCH /api/v1/organizations/{organizationId}/webhooks/{webhookId}": {{target: nativeWebhook, headers: bearerKey,
		status: 200, scopes: []consent.Scope{consent.WebhooksWrite}, body: `{"description":"of {{word}}, {{n}}"}`}},
	"DELETE /api/v1/organizations/{organizationId}/webhooks/{webhookId}": {{target: nativeWebhooks + "/{{doomedhook}}",
		headers: bearerKey, status: 204, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"POST /api/v1/organizations/{organizationId}/webhooks/{webhookId}/ping": {{target: nativeWebhook + "/ping",
		headers: bearerKey, status: 202, body: "{}", spare: true, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"POST /api/v1/organizations/{organizationId}/webhooks/{webhookId}/rotate": {{target: nativeWebhook + "/rotate",
		headers: bearerKey, status: 200, body: "{}", spare: true, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"GET /api/v1/organizations/{organizationId}/webhooks/{webhookId}/deliveries": {{target: nativeWebhook +
		"/deliveries?limit=1", headers: bearerKey, status: 200, scopes: []consent.Scope{consent.WebhooksWrite}}},
	"POST /api/v1/organizations/{organizationId}/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver": {{
		target: nativeWebhook + "/deliveries/{{deliveryid}}/redeliver", headers: bearerKey, status: 202, body: "{}",
		spare:  true,
		scopes: []consent.Scope{consent.WebhooksWrite}}},
}

// call is one sample of one route.
type call struct {
	sample
	protocol string
	route    protocol.Route
	name     string
}

// listed is the list, for tests that only ask what is on it.
var listed = server.Protocols(nil, server.Options{})

// calls gives all samples of all routes of the list; it is the list that says what is tested.
func calls(t testing.TB, protocols []protocol.Protocol) (all []call) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range protocols {
		if shapes[p.Name] == nil {
			t.Errorf("protocol %q has no checker of its errors' shape: add one to shapes in samples_test.go", p.Name)
			continue
		}
		for _, route := range p.Routes {
			key := route.Method + " " + route.Pattern
			seen[key] = true
			if len(samples[key]) == 0 {
				t.Errorf("route %q of %s has no sample: add a row with a call that succeeds to samples in samples_test.go", key,
					p.Name)
			}
			for i, s := range samples[key] {
				c := call{sample: s, protocol: p.Name, route: route, name: key}
				if i > 0 {
					c.name = fmt.Sprintf("%s, sample %d", key, i+1)
				}
				c.check(t)
				all = append(all, c)
			}
		}
	}
	for key := range samples {
		if !seen[key] {
			t.Errorf("samples has a row %q that is no route of any protocol", key)
		}
	}
	return all
}

// complaints keeps what would fail a test.
type complaints struct {
	testing.TB
	said string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.said += fmt.Sprintf(format, args...) + "\n"
}

// TestNewRoutesNeedSamples proves that neither a further protocol nor a further route slips past the suite.
func TestNewRoutesNeedSamples(t *testing.T) {
	t.Parallel()
	more := protocol.Protocol{Name: "native", Routes: []protocol.Route{{Method: "POST", Pattern: "/api/v1/more"}}}
	heard := &complaints{TB: t}
	calls(heard, append(slices.Clone(listed), more, speaking("fifth", nil)))
	want := "route \"POST /api/v1/more\" of native has no sample: add a row with a call that succeeds to samples in " +
		"samples_test.go\n" +
		"protocol \"fifth\" has no checker of its errors' shape: add one to shapes in samples_test.go\n"
	if heard.said != want {
		t.Errorf("got %q", heard.said)
	}
}

// check refuses a row that would make tests pass by testing nothing.
func (c *call) check(t testing.TB) {
	t.Helper()
	if !c.open && c.credential() == "" {
		t.Errorf("%s: no header of the sample has a credential", c.name)
	}
	if !c.open && !c.root && c.credential() != "token" && len(c.scopes) == 0 {
		t.Errorf("%s: the sample names no scope", c.name)
	}
	if c.status < 200 || c.status > 299 {
		t.Errorf("%s: status %d is no success", c.name, c.status)
	}
	if c.takesBody() && !strings.HasPrefix(c.body, "{") {
		t.Errorf("%s: the sample has no JSON object as its body", c.name)
	}
}

func (c *call) takesBody() bool {
	return slices.Contains([]string{"POST", "PUT", "PATCH"}, c.route.Method) && !c.plain || c.body != ""
}

// writes reports whether the call may change something, so that an Idempotency-Key must protect it.
func (c *call) writes() bool {
	switch c.route.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return c.reads == ""
}

// credential names the variable in which the call's credential is.
func (c *call) credential() string {
	for _, value := range c.headers {
		for _, name := range []string{"key", "basic", "token", "root"} {
			if strings.Contains(value, "{{"+name+"}}") {
				return name
			}
		}
	}
	return ""
}

// send makes the call; what changes a header sets it, an empty value takes it out.
func (c *call) send(w *harness, v vars, change map[string]string, body string) *webtest.Response {
	w.Helper()
	headers := map[string]string{}
	for name, value := range c.headers {
		headers[name] = value
	}
	for name, value := range change {
		headers[name] = value
		if value == "" {
			delete(headers, name)
		}
	}
	return w.do(v, c.route.Method, c.target, headers, body)
}

// refused fails unless the answer is that mistake in the shape of the call's protocol.
func (c *call) refused(w *harness, res *webtest.Response, status int, what string) {
	w.Helper()
	if res.Status != status {
		w.Errorf("%s: %s: want %d, got %v", c.name, what, status, res)
		return
	}
	if err := checkShape(c.protocol, res); err != nil {
		w.Errorf("%s: %s: %v in %v", c.name, what, err, res)
	}
}

// checkShape checks that an answer is an error in a protocol's shape.
func checkShape(protocol string, res *webtest.Response) error {
	if shapes[protocol] == nil {
		return fmt.Errorf("protocol %q has no checker of its errors' shape", protocol)
	}
	return shapes[protocol](res)
}

// shapes check the errors of each protocol.
var shapes = map[string]func(*webtest.Response) error{
	"concord": func(res *webtest.Response) error {
		return members(res, "application/json", map[string]any{"statusCode": float64(res.Status),
			"error": http.StatusText(res.Status), "message": words})
	},
	"slashid": func(res *webtest.Response) error {
		switch text := string(res.Body); {
		case res.Status == 401:
			if text != "" {
				return fmt.Errorf("a 401 has a body")
			}
			return nil
		case res.Status == 404 && text == "404 page not found":
			return contentType(res, "text/plain")
		}
		return members(res, "application/json", map[string]any{"errors": []any{map[string]any{"httpcode": float64(res.Status),
			"message": words}}})
	},
	"consent-hub": func(res *webtest.Response) error {
		return members(res, "application/json", map[string]any{"code": float64(res.Status), "message": words})
	},
	"consentgrid": func(res *webtest.Response) error {
		return members(res, "application/json", map[string]any{"error": words, "message": words})
	},
	"native": func(res *webtest.Response) error {
		want := map[string]any{"type": words, "title": http.StatusText(res.Status), "status": float64(res.Status),
			"detail":   words,
			"instance": "urn:request:" + res.Header.Get("X-Request-Id")}
		if res.Status == 400 || res.Status == 422 {
			want["errors"] = []any{words}
		}
		return members(res, "application/problem+json", want)
	},
}

// words stands for any text that says something, or for an object that does.
const words = "<words>"

func members(res *webtest.Response, kind string, want map[string]any) error {
	if err := contentType(res, kind); err != nil {
		return err
	}
	var got any
	if err := json.Unmarshal(res.Body, &got); err != nil {
		return fmt.Errorf("not the protocol's JSON: %w", err)
	}
	return like(want, got, "")
}

func contentType(res *webtest.Response, want string) error {
	if got, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || got != want {
		return fmt.Errorf("Content-Type %q is not %s", res.Header.Get("Content-Type"), want)
	}
	return nil
}

func like(want, got any, at string) error {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return fmt.Errorf("%s: %v has not the members of %v", at, got, want)
		}
		for name, value := range want {
			if err := like(value, object[name], at+"/"+name); err != nil {
				return err
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Errorf("%s: %v is not a list of %d", at, got, len(want))
		}
		for i := range want {
			if err := like(want[i], list[i], fmt.Sprint(at, "/", i)); err != nil {
				return err
			}
		}
	default:
		if object, ok := got.(map[string]any); want == words && ok && len(object) > 0 {
			return nil
		}
		if text, _ := got.(string); got != want && (want != words || text == "") {
			return fmt.Errorf("%s: %v is not %v", at, got, want)
		}
	}
	return nil
}
