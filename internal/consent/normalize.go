package consent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// MaxIdentifier is the most bytes an identifier may have.
const MaxIdentifier = 256

var (
	errEmail = &Error{Kind: Invalid, Msg: "must be an e-mail address"}
	errPhone = &Error{Kind: Invalid, Msg: "must be a phone number"}
	errUTF8  = &Error{Kind: Invalid, Msg: "must be valid UTF-8"}
)

// Normalize brings a value to the one form that is looked up (contracts, "Identity"): spellings that people and
// programs take for one give the same value or are refused, and what it gives it leaves as it is. Errors: Invalid; the
// message does not repeat the value.
func Normalize(kind IdentifierKind, value string) (string, error) {
	switch kind {
	case Email:
		return normalizeEmail(value)
	case Phone:
		return normalizePhone(value)
	case AnonymousID:
		value, err := normalizeName(value)
		if value == NoID.String() { // it means "unset" to many clients: they are not one person
			return "", Errorf(Invalid, "", "must not be the UUID that is all zeros")
		}
		return value, err
	default:
		return normalizeName(value)
	}
}

// compose gives a value in NFC (UAX #15), without the white space and the invisible characters at its ends.
func compose(value string) (string, error) {
	if isPrintableASCII(value) {
		return strings.Trim(value, " "), nil
	}
	if !utf8.ValidString(value) {
		return "", errUTF8
	}
	return strings.TrimFunc(norm.NFC.String(value), isBlank), nil
}

// normalizeName is for names that an organization makes up. They are kept as they are, but any space in them is
// U+0020: what is copied off a page may have another one.
func normalizeName(value string) (string, error) {
	value, err := compose(value)
	if err != nil {
		return "", err
	}
	if !isPrintableASCII(value) {
		value = strings.Map(plainSpace, value)
	} else if id, ok := ParseID(value); ok {
		value = id.String() // lower case
	}
	return value, checkNormal(value)
}

// checkNormal checks what an identifier has become.
func checkNormal(value string) error {
	if err := checkIdentifier(value); err != nil {
		return err
	}
	return checkVisible(value)
}

// checkIdentifier holds for the keys of purposes, too.
func checkIdentifier(value string) error {
	if len(value) > MaxIdentifier {
		return Errorf(Invalid, "", "must have %d bytes at most", MaxIdentifier)
	}
	return checkText(value)
}

func checkText(value string) error {
	switch {
	case value == "":
		return Errorf(Invalid, "", "must not be empty")
	case isPrintableASCII(value):
		return nil
	case !utf8.ValidString(value):
		return errUTF8
	case strings.ContainsFunc(value, unicode.IsControl):
		return Errorf(Invalid, "", "must not contain control characters")
	}
	return nil
}

// checkVisible refuses what cannot be seen. That is there, too, where a letter has more than 30 marks: package norm
// parts them by an invisible one (UAX #15, Stream-Safe Text Format).
func checkVisible(value string) error {
	if !isPrintableASCII(value) && strings.ContainsFunc(value, isInvisible) {
		return Errorf(Invalid, "", "must not contain invisible characters")
	}
	return nil
}

// normalizeEmail takes no account of case, in the local part either, and turns the domain to ASCII (IDNA, RFC 5891).
func normalizeEmail(value string) (string, error) {
	value, err := compose(value)
	if err != nil {
		return "", err
	}
	value = foldCase(value)
	if err := checkText(value); err != nil { // its length is that of its ASCII form
		return "", err
	}
	if err := checkVisible(value); err != nil {
		return "", err
	}
	at := strings.LastIndexByte(value, '@')
	if at < 1 || at == len(value)-1 || strings.ContainsFunc(value, unicode.IsSpace) {
		return "", errEmail
	}
	local, domain := value[:at], value[at+1:]
	if strings.ContainsAny(local, "<>,;") || strings.Contains(local, "@") && !strings.HasPrefix(local, `"`) {
		return "", errEmail
	}
	ascii, ok := normalizeDomain(domain)
	if !ok {
		return "", errEmail
	}
	if ascii != domain {
		value = local + "@" + ascii
	}
	return value, checkNormal(value)
}

// normalizeDomain brings a domain in lower case to ASCII. What is a host name already (RFC 1123) is kept, also where
// IDNA would refuse it, such as with hyphens in the third and fourth place.
func normalizeDomain(domain string) (string, bool) {
	if !isPrintableASCII(domain) || strings.Contains(domain, "xn--") {
		if len(domain) > 4*MaxIdentifier { // what it becomes is too long, and making it takes time
			return "", false
		}
		// A label may be in Punycode and need folding all the same.
		letters, err := idna.Lookup.ToUnicode(domain)
		if err != nil {
			return "", false
		}
		if domain, err = idna.Lookup.ToASCII(foldCase(letters)); err != nil {
			return "", false
		}
	}
	if len(domain) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	return domain, !strings.ContainsFunc(domain, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}

// normalizePhone brings a number to E.164 where it parses as an international one.
func normalizePhone(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", errUTF8
	}
	value = dialled(value)
	if err := checkNormal(value); err != nil {
		return "", err
	}
	if value == "+" {
		return "", errPhone
	}
	if e164, ok := toE164(value); ok {
		// What no country has dialled may lose a digit each time it is parsed: then it has no one form.
		if again, ok := toE164(e164); ok && again == e164 {
			return e164, nil
		}
	}
	return value, nil
}

// dialled gives what one dials of a number as it is written: without spaces and hyphens, in ASCII digits, a + for the
// prefix 00. Brackets, dots and slashes go where nothing else is there: an extension may not be read as more digits.
func dialled(value string) string {
	value = strings.Map(phoneSign, norm.NFC.String(value))
	value = international(norm.NFC.String(value)) // marks may have met a letter
	if strings.Trim(value, "+0123456789().-/") == "" {
		value = strings.Map(func(r rune) rune {
			if strings.ContainsRune("().-/", r) {
				return -1
			}
			return r
		}, value)
	}
	return international(value)
}

// international gives a number without the scheme that a link writes before it (RFC 3966), and with a + for the
// prefix 00.
func international(value string) string {
	for {
		switch {
		case len(value) >= 4 && strings.EqualFold(value[:4], "tel:"):
			value = value[4:]
		case strings.HasPrefix(value, "00"):
			value = "+" + value[2:]
		case strings.HasPrefix(value, "+00"):
			value = "+" + value[3:]
		default:
			return value
		}
	}
}

// toE164 reads a number that is nothing but a number: who shares it with others at an extension is not the others.
func toE164(value string) (string, bool) {
	if strings.Trim(value, "+0123456789") != "" {
		return "", false
	}
	n, err := phonenumbers.Parse(value, "")
	if err != nil || n.GetExtension() != "" {
		return "", false
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	if mobile, ok := strings.CutPrefix(e164, "+521"); ok && len(mobile) == 10 {
		e164 = "+52" + mobile // Mexico dials its mobiles without the 1 since 2019
	}
	return e164, len(e164) > 1
}
