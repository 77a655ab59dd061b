package python_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// These cases are from public tests of other servers.

// These header fields are from tests/wsgi/headers.py of mod_wsgi, and from headers.py of bjoern.
func TestFieldsOfOtherServersTestsAreSent(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "peers.py")
	for range 3 {
		a := s.Get("/fields", 200).Is(t, "ok").Field(t, "Content-Type", "text/plain").
			Field(t, "Set-Cookie", "a=1, b=2; Path=/").Field(t, "X-Empty", "").Field(t, "X-Latin", "caf\xe9").
			Field(t, "X-Long", strings.Repeat("l", 60000)).Field(t, "X-Tab", "a\tb")
		for i := range 100 {
			a.Field(t, fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		if len(a.Header["X-Empty"]) != 1 || a.Status != "200 Very Well" {
			t.Errorf("%s %q", a.Status, a.Header["X-Empty"])
		}
	}
	w := s.Dial()
	for i := 1; i <= 40; i++ {
		w.Fetch("/same_list").Is(t, fmt.Sprint(i)).Field(t, "X-Count", fmt.Sprint(i))
	}
}
