package protocol

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/consentd/consentd/internal/consent"
)

// Limits of every request body (contracts, "Limits").
const (
	MaxBody  = 1 << 20
	maxDepth = 32
)

// firstPart is the memory that a body begins with where its length is not known, or larger: what is announced may never
// come.
const firstPart = 4 << 10

// ReadJSON reads the call's body into v: one JSON value, without duplicate names, invalid
// UTF-8, NUL in strings, trailing data or nesting past 32. Names match by case; unknown members are passed over.
// Errors: Invalid with the field, TooLarge, 415.
func ReadJSON(c *Call, v any) error {
	body, err := c.readScanned()
	if err != nil {
		return err
	}
	return decode(body, v)
}

// readScanned reads a body that can be decoded, with the memory that this takes.
func (c *Call) readScanned() ([]byte, error) {
	body, err := c.readBody()
	if err != nil {
		return nil, err
	}
	objects, err := scan(body)
	if err != nil {
		return nil, err
	}
	return body, c.acquireDecoded(len(body), objects)
}

// AppendString writes a string as JSON does. Bytes that are no UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // the error tells of the bytes
	return b
}

// Unmarshal is ReadJSON of bytes.
func Unmarshal(body []byte, v any) error {
	if _, err := scan(body); err != nil {
		return err
	}
	return decode(body, v)
}

func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return jsonError(err)
	}
	return nil
}

// ReadStrict is ReadJSON for an API that refuses members which it does not know: those, and members of a wrong type,
// are Unprocessable, since they could be read.
func ReadStrict(c *Call, v any) error {
	body, err := c.readScanned()
	if err != nil {
		return err
	}
	return decodeStrict(body, v)
}

// UnmarshalStrict is ReadStrict of bytes.
func UnmarshalStrict(body []byte, v any) error {
	if _, err := scan(body); err != nil {
		return err
	}
	return decodeStrict(body, v)
}

func decodeStrict(body []byte, v any) error {
	err := json.Unmarshal(body, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if unreadable := decode(body, new(jsontext.Value)); unreadable != nil { // which goes before all that is wrong
		return unreadable
	}
	var semantic *json.SemanticError
	if errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic) {
		return consent.Errorf(consent.Unprocessable, fieldOf(semantic.JSONPointer),
			"is not known here; look at how it is spelled")
	}
	e := *consent.AsError(jsonError(err))
	if e.Kind == consent.Invalid && e.Field != "" {
		e.Kind = consent.Unprocessable
	}
	return &e
}

func (c *Call) readBody() ([]byte, error) {
	if given := c.Request.Header.Get("Content-Type"); given != "" && given != "application/json" { // as nearly all say it
		kind, params, err := mime.ParseMediaType(given)
		charset, has := params["charset"]
		isJSON := err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
		if !isJSON || has && !strings.EqualFold(charset, "utf-8") {
			return nil, &StatusError{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
		}
	}
	if c.Request.Header.Get("Content-Encoding") != "" {
		return nil, &StatusError{http.StatusUnsupportedMediaType, "Content-Encoding is not supported; send the body as it is"}
	}
	body, err := c.readAll(http.MaxBytesReader(c.ResponseWriter, c.Request.Body, MaxBody), c.Request.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, consent.Errorf(consent.TooLarge, "", "the request body may have %d bytes at most", MaxBody)
	case consent.IsKind(err, consent.Unavailable):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &StatusError{http.StatusRequestTimeout,
			"the request body came too slowly, or its sender stopped; send smaller batches"}
	case err != nil:
		return nil, &consent.Error{Kind: consent.Invalid, Msg: "the request body could not be read to its end", Err: err}
	}
	c.body = body
	return body, nil
}

// readAll reads a body; its length is negative where it is not known. A small one takes one allocation.
func (c *Call) readAll(r io.Reader, length int64) ([]byte, error) {
	switch {
	case length > MaxBody && c.Request.Header.Get("Expect") != "": // who asks first is spared sending it
		return nil, &http.MaxBytesError{Limit: MaxBody}
	case length > MaxBody:
		_, err := io.Copy(io.Discard, r) // up to the limit: a client whose body is cut off sooner may not see the answer
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	case length < 0 || length > firstPart:
		return c.readGrowing(r, length)
	}
	body := make([]byte, length)
	n, err := io.ReadFull(r, body)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return body[:n], err
}

// readGrowing reads a body whose memory grows with what arrives of it. Where it turns out to be large that comes from
// the budget.
func (c *Call) readGrowing(r io.Reader, length int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, smallBody))
	if err == nil && len(body) == smallBody && length != smallBody {
		body, err = c.readLarge(body, r, length)
	}
	if err == nil && length >= 0 && int64(len(body)) != length {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// readLarge reads the rest of a body, with memory that is doubled whenever it is full.
func (c *Call) readLarge(body []byte, r io.Reader, length int64) ([]byte, error) {
	if length < 0 {
		length = MaxBody
	}
	r = &steps{of: c, body: r}
	for {
		size := min(2*int64(len(body)), length)
		if err := c.acquireBytes(size); err != nil {
			return nil, err
		}
		grown := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead)) // with space to find the end in
		_, _ = grown.Write(body)                                      // into memory: it does not fail
		if size == length {
			_, err := grown.ReadFrom(r)
			return grown.Bytes(), err
		}
		_, err := io.CopyN(grown, r, size-int64(len(body)))
		if body = grown.Bytes(); errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

// scan refuses what the decoder admits: deep nesting and NUL in strings, and a body that is missing. It counts the
// objects.
func scan(body []byte) (objects int, err error) {
	if len(body) == 0 {
		return 0, consent.Errorf(consent.Invalid, "", "the request body is missing; send a JSON object")
	}
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case inString && b == '\\':
			if strings.HasPrefix(string(body[i+1:min(i+6, len(body))]), "u0000") {
				return 0, consent.Errorf(consent.Invalid, "", "the string at byte %d of the request body contains NUL",
					i)
			}
			i++
		case b == '"':
			inString = !inString
		case b == 0:
			return 0, consent.Errorf(consent.Invalid, "", "the request body contains NUL")
		case inString:
		case b == '{' || b == '[':
			if b == '{' {
				objects++
			}
			if depth++; depth > maxDepth {
				return 0, consent.Errorf(consent.Invalid, "", "JSON may be nested %d levels deep at most", maxDepth)
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return objects, nil
}

// jsonError says where the mistake is and what is wrong, and never repeats a value.
func jsonError(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	var ours *consent.Error
	switch {
	case errors.As(err, &ours):
		if errors.As(err, &semantic) && ours.Field == "" {
			return &consent.Error{Kind: ours.Kind, Field: fieldOf(semantic.JSONPointer), Msg: ours.Msg}
		}
		return ours
	case errors.As(err, &syntactic):
		return syntaxError(err, syntactic)
	case errors.As(err, &semantic):
		return wrongType(semantic)
	}
	return &consent.Error{Kind: consent.Invalid, Msg: "the request body is not acceptable JSON", Err: err}
}

func syntaxError(err error, at *jsontext.SyntacticError) error {
	field := fieldOf(at.JSONPointer)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return consent.Errorf(consent.Invalid, field, "stands twice in its object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return consent.Errorf(consent.Invalid, "", "the request body is not valid JSON: it ends too early")
	case strings.Contains(at.Error(), "UTF-8"):
		return consent.Errorf(consent.Invalid, field, "is not valid UTF-8 at byte %d of the request body", at.ByteOffset)
	}
	return consent.Errorf(consent.Invalid, "", "the request body is not valid JSON at byte %d", at.ByteOffset)
}

// wrongType says what a value must be, or what it must not be where that is not plain.
func wrongType(err *json.SemanticError) error {
	field := fieldOf(err.JSONPointer)
	ofKind := strings.Replace(kindName(err.JSONKind), "this ", "a ", 1)
	if want := typeName(err.GoType); want != "" && want != ofKind {
		if field == "" {
			return consent.Errorf(consent.Invalid, "", "the request body must be %s", want)
		}
		return consent.Errorf(consent.Invalid, field, "must be %s", want)
	}
	if err.JSONKind == '0' && err.GoType != nil && isWhole(err.GoType.Kind()) { // 1.5, 1e3, 1e99
		return consent.Errorf(consent.Invalid, field, "must be a whole number, of digits alone and not too large")
	}
	return consent.Errorf(consent.Invalid, field, "has the wrong type: it must not be %s", kindName(err.JSONKind))
}

func isWhole(k reflect.Kind) bool { return k == reflect.Int || k == reflect.Int64 }

// typeName is the JSON name of a Go type; empty where it has none.
func typeName(t reflect.Type) string {
	if t == nil {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "a number"
	}
	return ""
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "this string"
	case '0':
		return "this number"
	case 'n':
		return "null"
	default:
		return "a boolean"
	}
}

// fieldOf shows a JSON pointer the way people write it: items[3].consentState. It ends before a
// name that looks like none of ours: what a client made up is not repeated.
func fieldOf(p jsontext.Pointer) string {
	var out strings.Builder
	for token := range p.Tokens() {
		if len(token) > 64 || strings.ContainsFunc(token, notInName) {
			break
		}
		if _, err := strconv.Atoi(token); err == nil {
			out.WriteString("[" + token + "]")
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		out.WriteString(token)
	}
	return out.String()
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}

// JSON makes an answer of a value: the same bytes for the same value, as an entity tag promises.
func JSON(status int, v any) (Answer, error) {
	body, err := json.Marshal(v, json.Deterministic(true))
	return Answer{Status: status, ContentType: "application/json", Body: body}, err
}

// largeAnswer is the size from which an answer to a read takes memory of its own: a client that reads slowly keeps it
// in memory.
const largeAnswer = 256 << 10

// WriteJSON answers a read by a value, as SendRead does.
func WriteJSON(c *Call, status int, v any) error {
	answer, err := JSON(status, v)
	if err != nil {
		return err
	}
	return SendRead(c, answer)
}

// SendRead answers a read. A large answer is Unavailable while too many are being sent.
func SendRead(c *Call, answer Answer) error {
	if len(answer.Body) > largeAnswer && c.Reserve != nil {
		release, ok := c.Reserve(int64(len(answer.Body)))
		if !ok {
			return &consent.Error{Kind: consent.Unavailable,
				Msg: "too many large answers are being sent; ask for fewer items, or retry"}
		}
		defer release()
	}
	answer.Send(c)
	return nil
}

func chiParam(r *http.Request, name string) string { return chi.URLParam(r, name) }

// nounOf turns organizationId into "organization".
func nounOf(param string) string {
	for _, suffix := range [...]string{"_id", "Id", "ID"} {
		param = strings.TrimSuffix(param, suffix)
	}
	return strings.ReplaceAll(param, "_", " ")
}
