package exchange

import (
	"strings"
	"testing"

	"fapws/runtime/http1"
)

func TestInvalidRulesAreRejected(t *testing.T) {
	for want, o := range map[string]Rules{
		"only the server sets":             {Set: []http1.HeaderField{{Name: "connection", Value: "x"}}},
		"has a control character":          {Add: []http1.HeaderField{{Name: "X-A", Value: "a\r\nb"}}},
		"is not the name of a header":      {Remove: []string{"a b"}},
		"a header field needs a name":      {Set: []http1.HeaderField{{Name: "", Value: "x"}}},
		`"get" is not a method (GET, POST`: {Methods: []string{"get"}},
	} {
		if _, err := NewRules(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

func TestServerPagesKeepTheFieldsThatTheyNeed(t *testing.T) {
	field := func(name string) http1.HeaderField { return http1.HeaderField{Name: name, Value: "rule"} }
	given, err := NewRules(Rules{Set: []http1.HeaderField{field("content-security-policy"), field("X-A")},
		Add:    []http1.HeaderField{field("Referrer-Policy")},
		Remove: []string{"X-B", "Referrer-Policy"}, SetSecure: []http1.HeaderField{field("Strict-Transport-Security"),
			field("Content-Security-Policy")}})
	if err != nil {
		t.Fatal(err)
	}
	site := &Site{Rules: given}
	kept := rulesOf(site, &Mount{OwnPolicy: true})
	for want, edits := range map[string]http1.Edits{
		"Content-Security-Policy: page\r\nReferrer-Policy: " +
			"page\r\nX-A: rule\r\n": kept.headers[:kept.plain],
		"Content-Security-Policy: page\r\nReferrer-Policy: page\r\nX-A: " +
			"rule\r\nStrict-Transport-Security: rule\r\n": kept.headers,
		"content-security-policy: rule\r\nX-A: " +
			"rule\r\nReferrer-Policy: rule\r\n": rulesOf(site, nil).headers[:1],
	} {
		response := http1.Response{Fields: []byte("Content-Security-Policy: page\r\nReferrer-Policy: " +
			"page\r\nX-B: page\r\n")}
		edits.Apply(nil, &response)
		if string(response.Fields) != want {
			t.Errorf("%q, want %q", response.Fields, want)
		}
	}
}
