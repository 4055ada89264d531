package consent

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzDecode: bodies and identities are read as package json reads them.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"action":"user_click","purpose_version":3,"state":"accepted"}`,
		`{"action":"user_click","expires_at":"x","metadata":{"a":true},"purpose_version":0}`, `{"Action":"a"}`,
		`{"action":1}`, `{"action":{}}`, `{"action":"a","action":"b"}`, `{"purpose_version":"3"}`, `{"purpose_version":{}}`,
		`{"purpose_version":99999999999999999999}`, `{"purpose_version":123456789012345}`, `{"undated":true}`,
		`{"anonymous_id":"a","identifiers":{"email":"a@b.example","phone":"+49"},"key":"k","user_agent":"Mozilla"}`,
		`{"action":"a","displayed_text":"b","expires_at":"c","locale":"d","occurred_at":"e","project":"f","purpose":"g",` +
			`"purpose_version":8,"regime":"h","state":"i"}`,
		`{"anonymous_id":"a","country":"b","country_said":"c","domain":"d","form_url":"e","identifiers":{"f":"g"},"ip":"h",` +
			`"key":"i","notice_url":"j","protocol":"k","session":"l","user_agent":"m"}`,
		`{"identifiers":{}}`, `{"identifiers":{"a":1}}`, `{"identifiers":{"a":{}}}`, `{"identifiers":"a"}`,
		`{"identifiers":7}`, `{"ip":"é"}`, "{\"ip\":\"\xff\"}", `{"ip":"\u00e9"}`, `"a"`, `7`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		var body, wantBody Body
		got, want := body.decode(blob), json.Unmarshal(blob, &wantBody)
		if (got == nil) != (want == nil) || want == nil && !reflect.DeepEqual(body, wantBody) {
			t.Errorf("%q: %+v, %v; want %+v, %v", blob, body, got, wantBody, want)
		}
		var identity, wantIdentity Identity
		got, want = identity.decode(blob), json.Unmarshal(blob, &wantIdentity)
		if (got == nil) != (want == nil) || want == nil && !reflect.DeepEqual(identity, wantIdentity) {
			t.Errorf("%q: %+v, %v; want %+v, %v", blob, identity, got, wantIdentity, want)
		}
	})
}
