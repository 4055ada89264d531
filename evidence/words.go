package evidence

// The words in which people read what the ledger says in its own.

// inWords gives the words for a value, or the value itself where it is not known.
func inWords(words map[string]string, value string) string {
	if w, ok := words[value]; ok {
		return w
	}
	return value
}

var stateWords = map[string]string{
	"accepted": "Yes (accepted)", "declined": "No (declined)", "withdrawn": "The yes was taken back (withdrawn)",
	"implied": "No active choice (implied)", "viewed": "Nothing; the notice was seen (viewed)",
}

var actionWords = map[string]string{
	"user_click": "by the person's own action (user_click)",
	"implied":    "taken from something else that the person did (implied)",
	"import":     "brought in from another system (import)",
	"system":     "by a rule of the server (system)",
}

var regimeWords = map[string]string{
	"opt-in":  "opt-in: nothing may be done before an active yes",
	"opt-out": "opt-out: it may be done until a no",
}

var basisWords = map[string]string{
	"consent":              "consent (GDPR Art. 6(1)(a))",
	"contract":             "contract (GDPR Art. 6(1)(b))",
	"legal_obligation":     "legal obligation (GDPR Art. 6(1)(c))",
	"vital_interests":      "vital interests (GDPR Art. 6(1)(d))",
	"public_task":          "public task (GDPR Art. 6(1)(e))",
	"legitimate_interests": "legitimate interests (GDPR Art. 6(1)(f))",
}
