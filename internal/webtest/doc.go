// Package webtest plays HTTP transcripts against a handler and compares every answer completely; it knows HTTP and
// JSON, and nothing of consent, keys or stores. It is for tests only.
//
// A transcript is a text file of exchanges, played in order over loopback TCP:
//
//	# concord.md, Consent events: 201, items in request order
//	> POST /privacy-v1/organizations/{{org}}/projects/{{project}}/consent-events
//	> x-api-key: {{key}}
//	> Content-Type: application/json
//	>
//	> {"items":[{"email":"a@b.c"}]}
//	< 201
//	< Content-Type: application/json
//	< !X-Powered-By
//	<
//	< {"count":1,"items":[{"id":"<uuid:event>","createdAt":"<time>","email":"a@b.c"}]}
//
// A line that starts with # is a comment and cites the section of the contract that the exchange proves. Blank lines
// separate; neither they nor comments may interrupt a request or an answer. A line is sent as it stands.
//
// # Request
//
// The first line is method and target, then headers, then a bare > and the body. Body lines are joined by \n, with
// none at the end (a last bare > adds it). The runner adds Host and Content-Length where the transcript has neither,
// and nothing else. With "Transfer-Encoding: chunked" it sends the body in chunks.
//
// # Answer
//
// The first line is the status. Then come headers: the values listed for a name must be all the values that the
// answer has for it, in order; "< !Name" says that the header is absent; headers not listed are not looked at. Then a
// bare < and the body:
//
//	< text     JSON is compared as JSON (below), anything else as text, to the last byte
//	<= text    compared byte for byte, JSON too; no placeholders
//	<~ text    each such line occurs somewhere in the body; no placeholders
//	<*         any body
//
// No body lines: the body is empty.
//
// # JSON
//
// Members may come in any order; a missing, additional or repeated one is a failure. Numbers compare by their text:
// 1.0 is not 1. A member "...": "..." allows further members, a last element "..." further elements.
//
// # Placeholders
//
// They stand in header values, JSON strings and text of an answer. <TYPE> matches, <TYPE:name> also captures; where
// the name has a value already, the two must be equal. Types: uuid, uuid7, time (RFC 3339 UTC), string, int, key (16 or
// more printable ASCII characters, no space), any. Alone in a JSON string, "<int>" is a number, "<any>" any value and
// the others a string; among other text ("/subjects/<uuid:id>") it is a part of the string. \< is a plain <.
//
// # Variables
//
// They work in requests and answers, and may be nested:
//
//	{{name}}                 a variable of the site or one captured before
//	{{basic:user:name}}      "Basic " and the base64 of user, colon and the variable's value
//	{{repeat:N:text}}        text N times
//	{{base64:text}}          standard base64
//	{{hex:00ff}}             raw bytes; {{hex:7b7b}} is a plain {{, {{hex:0d}} a carriage return
//	{{query:text}}           escaped for a query string
//	{{in:-90s}}              an instant as far from now, RFC 3339
//
// The first }} ends a variable: a text that ends in } needs {{hex:7d}}.
//
// # The document
//
// Against a site of NewSite an exchange must also be as the OpenAPI document has it (package openapi): the answer
// always, in its status, Content-Type, headers and body, with no member that is not documented; the request where it
// was taken.
//
// # Failures
//
// An exchange that fails is reported and the next one played, until one needs a variable that the failed one was to
// capture. It is not sent then, nor is what follows.
package webtest
