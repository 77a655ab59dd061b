package checktest

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Some tests measure loops that call these functions. Helper is slow, so Must, Equal, Truef and their like call it only
// before they report an error.

// Must ends the test unless all errs are nil: without an operation that failed, the test cannot continue.
func Must(t testing.TB, errs ...error) {
	for _, err := range errs {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
}

// A Result is what a function returned: a value, or an error.
type Result[T any] struct {
	value T
	err   error
}

// Try is for calls such as Try(os.Open(name)).Must(t).
func Try[T any](value T, err error) Result[T] { return Result[T]{value, err} }

// Must returns the value, and ends the test if there is an error instead.
func (r Result[T]) Must(t testing.TB) T {
	t.Helper()
	Must(t, r.err)
	return r.value
}

// Mustf is Must with the circumstances of the error.
func Mustf(t testing.TB, err error, format string, args ...any) {
	if err != nil {
		t.Helper()
		t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// Equal reports an error unless got is want. Values that == cannot compare, such as slices, must be deeply equal.
func Equal[T any](t testing.TB, got, want T) {
	if !same(got, want) {
		t.Helper()
		t.Errorf("got %s, want %s", shown(got), shown(want))
	}
}

// Equalf is Equal with the circumstances of the error, such as the name of a case.
func Equalf[T any](t testing.TB, got, want T, format string, args ...any) {
	if !same(got, want) {
		t.Helper()
		t.Errorf("%s: got %s, want %s", fmt.Sprintf(format, args...), shown(got), shown(want))
	}
}

func same[T any](got, want T) bool {
	if reflect.ValueOf(&got).Elem().Comparable() && reflect.ValueOf(&want).Elem().Comparable() {
		return any(got) == any(want)
	}
	return reflect.DeepEqual(got, want)
}

// shown quotes texts, because many of them differ only in spaces or control characters.
func shown(value any) string {
	switch value.(type) {
	case string, []byte, []string:
		return fmt.Sprintf("%.4000q", value)
	}
	return fmt.Sprintf("%.4000s", fmt.Sprintf("%+v", value))
}

// Truef reports an error with this text unless ok.
func Truef(t testing.TB, ok bool, format string, args ...any) {
	if !ok {
		t.Helper()
		t.Errorf(format, args...)
	}
}

// Needf ends the test with this text unless ok: the rest of the test needs what ok says.
// Panics fails unless f panics.
func Panics(t testing.TB, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		Truef(t, recover() != nil, "no panic")
	}()
	f()
}

func Needf(t testing.TB, ok bool, format string, args ...any) {
	if !ok {
		t.Helper()
		t.Fatalf(format, args...)
	}
}

// Has reports an error for each part that text does not contain.
func Has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %.4000s", part, text)
		}
	}
}

// Lacks reports an error for each part that text contains.
func Lacks(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q is in %.4000s", part, text)
		}
	}
}

// Matches reports an error for each pattern that matches nothing in text.
func Matches(t testing.TB, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("no %s in %.4000s", pattern, text)
		}
	}
}
