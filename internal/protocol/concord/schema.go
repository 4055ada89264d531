package concord

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// rule checks the next value of a decoder; path names it in errors. What a rule does not
// know is passed over: objects that are kept and echoed may have more than is documented.
type rule func(dec *jsontext.Decoder, path string) error

// check holds a value against a rule; an absent one passes.
func check(value jsontext.Value, path string, holds rule) error {
	if len(value) == 0 || value.Kind() == 'n' {
		return nil
	}
	return holds(jsontext.NewDecoder(bytes.NewBuffer(value)), path)
}

// isKind admits values of one JSON kind.
func isKind(msg string, kind jsontext.Kind) rule {
	return func(dec *jsontext.Decoder, path string) error {
		given := dec.PeekKind()
		if given == 't' {
			given = 'f'
		}
		if given != kind {
			return invalid(path, msg)
		}
		return dec.SkipValue()
	}
}

var (
	isString  = isKind("must be a string", '"')
	isNumber  = isKind("must be a number", '0')
	isBoolean = isKind("must be a boolean", 'f')
	isArray   = isKind("must be an array", '[')
)

// isAny admits everything.
func isAny(dec *jsontext.Decoder, _ string) error { return dec.SkipValue() }

// isOneOf admits these strings.
func isOneOf(words ...string) rule {
	return func(dec *jsontext.Decoder, path string) error {
		if dec.PeekKind() != '"' {
			return isString(dec, path)
		}
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		return oneOf(path, token.String(), words...)
	}
}

// isRegions admits "default" or an array.
func isRegions(dec *jsontext.Decoder, path string) error {
	if dec.PeekKind() == '[' {
		return isArray(dec, path)
	}
	if isOneOf("default")(dec, path) != nil {
		return invalid(path, `must be "default" or an array`)
	}
	return nil
}

// isObject admits objects whose known members hold their rules; null counts as absent [ours].
func isObject(members map[string]rule) rule {
	return func(dec *jsontext.Decoder, path string) error {
		if dec.PeekKind() != '{' {
			return invalid(path, "must be an object")
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		for dec.PeekKind() != '}' {
			token, err := dec.ReadToken()
			if err != nil {
				return err
			}
			name := token.String()
			holds := members[name]
			if holds == nil || dec.PeekKind() == 'n' {
				holds = isAny
			}
			if err := holds(dec, path+"."+name); err != nil {
				return err
			}
		}
		_, err := dec.ReadToken()
		return err
	}
}

// isTrue and isFalse tell whether the boolean at a path of member names is there and says so.
func isTrue(value jsontext.Value, path ...string) bool  { return kindAt(value, path) == 't' }
func isFalse(value jsontext.Value, path ...string) bool { return kindAt(value, path) == 'f' }

// kindAt gives the kind of what is at a path of member names; zero where nothing is.
func kindAt(value jsontext.Value, path []string) jsontext.Kind {
	if len(value) == 0 {
		return 0
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	for len(path) > 0 {
		if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
			return 0
		}
		for {
			token, err := dec.ReadToken()
			if err != nil || token.Kind() == '}' {
				return 0
			}
			if token.String() == path[0] {
				break
			}
			if dec.SkipValue() != nil {
				return 0
			}
		}
		path = path[1:]
	}
	return dec.PeekKind()
}

// subscriptionRule and regionTemplateRule are the contract's "Create body" and "settings".
var (
	subscriptionRule = isObject(map[string]rule{
		"interval": isString, "plan": isString, "collectPayment": isBoolean, "test": isBoolean,
		"addons": isObject(map[string]rule{
			"dataSystems": isNumber, "domains": isNumber, "policies": isNumber, "users": isNumber,
		}),
	})

	regionTemplateRule = isObject(map[string]rule{
		"name": isString, "regions": isRegions, "customScript": isString, "settings": settingsRule,
		"language": isObject(map[string]rule{"enabled": isBoolean}),
	})

	settingsRule = isObject(map[string]rule{
		"branding": isObject(map[string]rule{
			"buttonRadius": isString, "cardRadius": isString, "font": isString, "logoUrl": isString,
			"primaryColor": isString, "secondaryColor": isString, "poweredByConcord": isBoolean,
		}),
		"consent":           consentSettingsRule,
		"crossSiteTracking": isBoolean,
		"floatingButton": isObject(map[string]rule{
			"enabled": isBoolean, "circleOffsetX": isString, "circleOffsetY": isString, "tabOffsetY": isString,
			"position": isString, "theme": isString, "type": isString, "icon": isString,
		}),
		"placeholders": isObject(map[string]rule{"enabled": isBoolean, "theme": isString}),
		"privacyCenter": isObject(map[string]rule{
			"consentHistory": isBoolean, "disclosures": isBoolean, "privacyRequests": isBoolean,
			"doNotSellRequests": isBoolean, "position": isString, "theme": isString,
		}),
	})

	consentSettingsRule = isObject(map[string]rule{
		"blockingMode": isOneOf("disabled", "discovery", "permissive", "strict"),
		"consentMode":  isOneOf("implied", "express"),
		"consentBanner": isObject(map[string]rule{
			"enabled": isBoolean, "layout": isOneOf("bar", "box"), "position": isAny, "policy": isString, "title": isBoolean,
			"theme": isString, "closeButton": isBoolean, "denyButton": isBoolean, "customizeButton": isBoolean,
		}),
		"doNotSell": isBoolean, "consentDuration": isNumber, "gcm": isOneOf("disabled", "basic", "advanced"),
		"gpc": isBoolean, "limitPii": isBoolean,
	})
)
