package http1

import (
	"testing"

	"fapws/runtime/checktest"
)

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
