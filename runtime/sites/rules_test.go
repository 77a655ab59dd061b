package sites

import (
	"strings"
	"testing"

	"fapws/runtime/filter/header"
)

func TestRuleErrors(t *testing.T) {
	for want, o := range map[string]RuleOptions{
		"only the server sets":             {Set: []header.Field{{Name: "connection", Value: "x"}}},
		"has a control character":          {Add: []header.Field{{Name: "X-A", Value: "a\r\nb"}}},
		"is not the name of a header":      {Remove: []string{"a b"}},
		"a header field needs a name":      {Set: []header.Field{{Name: "", Value: "x"}}},
		`"get" is not a method (GET, POST`: {Methods: []string{"get"}},
	} {
		if _, err := NewRules(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}
