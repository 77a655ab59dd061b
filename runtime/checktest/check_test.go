package checktest

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// A recorder notes what a check reports instead of failing.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.said += "fatal " + fmt.Sprintf(format, args...)
}
func (r *recorder) Fatal(args ...any) { r.said += "fatal " + fmt.Sprint(args...) }

func TestChecksReportWrongValues(t *testing.T) {
	one, other := new(int), new(int)
	for _, c := range []struct {
		check func(t testing.TB)
		want  string
	}{
		{func(t testing.TB) { Equal(t, 3, 3) }, ""},
		{func(t testing.TB) { Equal(t, int64(2), 3) }, "got 2, want 3"},
		{func(t testing.TB) { Equal(t, "a ", "a") }, `got "a ", want "a"`},
		{func(t testing.TB) { Equal(t, error(io.EOF), nil) }, "got EOF, want <nil>"},
		{func(t testing.TB) { Equal(t, nil, error(io.EOF)) }, "got <nil>, want EOF"},
		{func(t testing.TB) { Equal(t, io.EOF, errors.New("EOF")) }, "got EOF, want EOF"},
		{func(t testing.TB) { Equal(t, one, one) }, ""},
		{func(t testing.TB) { Equal(t, one == other, true) }, "got false, want true"},
		{func(t testing.TB) { Equal(t, []string{"a"}, []string{"a"}) }, ""},
		{func(t testing.TB) { Equal(t, []string{"a", ""}, nil) }, `got ["a" ""], want []`},
		{func(t testing.TB) { Equal[any](t, []int{1}, 1) }, "got [1], want 1"},
		{func(t testing.TB) { Equalf(t, "", "x", "case %d", 7) }, `case 7: got "", want "x"`},
		{func(t testing.TB) { Equalf(t, "x", "x", "case %d", 7) }, ""},
		{func(t testing.TB) { Must(t, nil); Mustf(t, nil, "case %d", 7) }, ""},
		{func(t testing.TB) { Must(t, nil, io.EOF) }, "fatal EOF"},
		{func(t testing.TB) { Equal(t, Try(3, nil).Must(t), 3) }, ""},
		{func(t testing.TB) { Try(3, io.EOF).Must(t) }, "fatal EOF"},
		{func(t testing.TB) { Mustf(t, io.EOF, "case %d", 7) }, "fatal case 7: EOF"},
		{func(t testing.TB) { Truef(t, true, "x"); Needf(t, true, "x") }, ""},
		{func(t testing.TB) { Truef(t, false, "case %d", 7) }, "case 7"},
		{func(t testing.TB) { Needf(t, false, "case %d", 7) }, "fatal case 7"},
		{func(t testing.TB) { Has(t, "abc", "a", "bc") }, ""},
		{func(t testing.TB) { Has(t, "abc", "a", "x") }, `no "x" in abc`},
		{func(t testing.TB) { Lacks(t, "abc", "x") }, ""},
		{func(t testing.TB) { Lacks(t, "abc", "x", "b") }, `"b" is in abc`},
		{func(t testing.TB) { Matches(t, "abc", "^a", "b?c") }, ""},
		{func(t testing.TB) { Matches(t, "abc", "^b") }, "no ^b in abc"},
	} {
		r := &recorder{}
		if c.check(r); r.said != c.want {
			t.Errorf("said %q, want %q", r.said, c.want)
		}
	}
}

// Two pointers to equal values are different values: many tests ask for the same object.
func TestEqualComparesPointersAndNotTheirTargets(t *testing.T) {
	r := &recorder{}
	if Equal(r, new(int), new(int)); r.said == "" {
		t.Error("no error")
	}
}
