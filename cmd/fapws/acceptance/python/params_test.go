package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestTooManyParametersAreAClientError(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/form.py", `
from fapws.base import Environ

def form(environ, start_response):
    return str(sum(map(len, environ["fapws.params"].values())))

PATHS = [("/form", form)]
`)
	s := fapwstest.Command{Script: script, Flags: []string{"--limit-request-line", "64K", "--limit-request-head",
		"128K"}}.Serve(t, fapwstest.Threads)
	form := "Content-Type: application/x-www-form-urlencoded"
	s.Ask(fapwstest.Get("/form?"+strings.Repeat("a=b&", 999))).Want(t, 200).Is(t, "999")
	s.Ask(fapwstest.Get("/form?"+strings.Repeat("a=b&", 3000))).Want(t, 400, "too many parameters")
	s.Ask(fapwstest.Request("POST", "/form", strings.Repeat("a=b&", 3000), form)).Want(t, 413, "too many parameters")
	s.Ask(fapwstest.Request("POST", "/form", "a="+strings.Repeat("%41", 3_300_000), form)).Want(t, 413,
		"form too large")
	s.Ask(fapwstest.Request("POST", "/form", "a="+strings.Repeat("%41", 600_000), form)).Want(t, 200).Is(t, "1")
}
