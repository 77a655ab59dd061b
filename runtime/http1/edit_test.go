package http1

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func edit(t *testing.T, set, add []HeaderField, remove ...string) *Edit {
	t.Helper()
	return checktest.Try(NewEdit(set, add, remove)).Must(t)
}

func TestLaterEditReplacesTheFieldOfAnEarlierEdit(t *testing.T) {
	one := func(name, value string) []HeaderField { return []HeaderField{{Name: name, Value: value}} }
	for _, test := range []struct {
		name       string
		edits      Edits
		want, kind string
		date       bool
	}{
		{"none", nil, "ETag: 1|X-A: a|", "text/plain", false},
		{"set", Edits{edit(t, one("x-a", "b"), nil)}, "ETag: 1|x-a: b|", "text/plain", false},
		{"add", Edits{edit(t, nil, one("X-A", "b"))}, "ETag: 1|X-A: a|X-A: b|", "text/plain", false},
		{"remove", Edits{edit(t, nil, nil, "etag", "DATE")}, "X-A: a|", "text/plain", true},
		{"type", Edits{edit(t, one("Content-Type", "text/x"), nil)}, "ETag: 1|X-A: a|Content-Type: text/x|", "", false},
		{"mount over site", Edits{edit(t, one("X-B", "site"), one("X-C", "1")),
			edit(t, one("X-B", "mount"), one("X-C", "2"))}, "ETag: 1|X-A: a|X-C: 1|X-B: mount|X-C: 2|", "text/plain",
			false},
		{"mount removes", Edits{edit(t, one("X-B", "site"), nil), edit(t, nil, nil, "X-B")}, "ETag: 1|X-A: a|",
			"text/plain", false},
		{"private", Edits{Private}, "ETag: 1|X-A: a|Cache-Control: private|", "text/plain", false},
		{"private and public", Edits{Private, edit(t, nil, []HeaderField{{"cache-control", "Public, max-age=9"},
			{"Cache-Control", "s-maxage=9,private, immutable"}})},
			"ETag: 1|X-A: a|Cache-Control: private, max-age=9, immutable|", "text/plain", false},
		{"private and no-store", Edits{Private, edit(t, one("Cache-Control", "No-Store"), nil)},
			"ETag: 1|X-A: a|Cache-Control: No-Store|", "text/plain", false},
		{"private without others", Edits{Private, edit(t, one("X-B", "b"), nil)}.Without("X-B"),
			"ETag: 1|X-A: a|Cache-Control: private|", "text/plain", false},
	} {
		fields := []byte("ETag: 1\r\nX-A: a\r\n")
		r := ResponseHead{Fields: fields, Type: "text/plain"}
		buf := test.edits.Apply(make([]byte, 3, 300), &r)
		got := strings.ReplaceAll(string(r.Fields), "\r\n", "|")
		checktest.Truef(t, got == test.want && r.Type == test.kind && r.HasDate == test.date && !r.HasServer,
			"%s: %q, type %q, date %v; want %+v", test.name, got, r.Type, r.HasDate, test)
		n := testing.AllocsPerRun(10, func() {
			r.Fields = fields
			buf = test.edits.Apply(buf, &r)
		})
		checktest.Equalf(t, n, 0, "%s: allocations", test.name)
	}
}

func TestFieldsAreFoundByName(t *testing.T) {
	fields := []byte("ETag: 1\r\nX-A: a\r\nx-a:  b \r\nEmpty:\r\n")
	checktest.Truef(t, HasField(fields, []byte("etag")) && !HasField(fields, []byte("ETa")) &&
		!HasField(fields, []byte("1")), "Has")
	for name, want := range map[string]string{"X-A": "b", "empty": "", "none": "", "ETag": "1"} {
		checktest.Equalf(t, FieldValue(fields, []byte(name)), want, "%s", name)
	}
}

func TestInvalidFieldsOfRulesAreRejected(t *testing.T) {
	for _, f := range []HeaderField{{"X-A", "a\tb"}, {"a!#$%&'*+-.^_`|~9", "é"}, {"A", ""}} {
		checktest.Equalf(t, f.Check(), nil, "%+v", f)
	}
	for _, f := range []HeaderField{{"", "a"}, {"a b", "a"}, {"a:", "a"}, {"X", "a\r\nb"}, {"X", "\x7f"},
		{"Content-Length", "1"}, {"connection", "close"}, {"Upgrade", "x"}} {
		checktest.Truef(t, f.Check() != nil, "%+v is taken", f)
		_, err := NewEdit(nil, []HeaderField{f}, nil)
		checktest.Truef(t, err != nil, "%+v is added", f)
	}
	_, err := NewEdit(nil, nil, []string{"Content-Length"})
	checktest.Truef(t, err != nil, "Content-Length is removed")
}

func TestFieldsAreMerged(t *testing.T) {
	for _, test := range []struct{ fields, more, want string }{
		{"A: 1\r\n", "", "A: 1\r\n"},
		{"A: 1\r\n", "a: 2\r\nB: 3\r\n", "A: 1\r\nB: 3\r\n"},
		{"Cache-Control: max-age=1\r\n", "cache-control: private\r\n", "cache-control: private\r\n"},
		{"Vary: A\r\nSet-Cookie: a\r\n", "Vary: B\r\nSet-Cookie: b\r\n",
			"Vary: A\r\nSet-Cookie: a\r\nVary: B\r\nSet-Cookie: b\r\n"},
	} {
		checktest.Equalf(t, string(MergeFields([]byte(test.fields), []byte(test.more))), test.want,
			"%q and %q", test.fields, test.more)
	}
}

func TestFieldIsRemoved(t *testing.T) {
	checktest.Equal(t, string(WithoutField([]byte("A: 1\r\nB: 2\r\na: 3\r\n"), []byte("a"))), "B: 2\r\n")
}
