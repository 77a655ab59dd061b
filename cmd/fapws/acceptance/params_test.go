package acceptance

import (
	"strings"
	"testing"
)

// Too many or too large parameters are the client's mistake, without a traceback.
func TestParamsLimits(t *testing.T) {
	script := write(t, t.TempDir()+"/form.py", `
from fapws.base import Environ

def form(environ, start_response):
    return str(sum(map(len, environ["fapws.params"].values())))

PATHS = [("/form", form)]
`)
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: script, flags: []string{"--limit-request-line", "64K", "--limit-request-head", "128K"}}.serve(t, m)
		form := "Content-Type: application/x-www-form-urlencoded"
		s.ask(get("/form?"+strings.Repeat("a=b&", 999))).want(t, 200).is(t, "999")
		s.ask(get("/form?"+strings.Repeat("a=b&", 3000))).want(t, 400, "too many parameters")
		s.ask(request("POST", "/form", strings.Repeat("a=b&", 3000), form)).want(t, 413, "too many parameters")
		s.ask(request("POST", "/form", "a="+strings.Repeat("%41", 3_300_000), form)).want(t, 413, "form too large")
		s.ask(request("POST", "/form", "a="+strings.Repeat("%41", 600_000), form)).want(t, 200).is(t, "1")
	})
}
