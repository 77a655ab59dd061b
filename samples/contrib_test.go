package samples

import (
	"strings"
	"testing"
)

func TestHandlerGuardsStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/contrib.py")
	for _, c := range []struct {
		path   string
		status int
		header []string
		text   string
	}{
		{"/guarded/style.css", 303, nil, "/login"},
		{"/guarded/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
		{"/guarded/style.css", 206, []string{"X-Key", "open", "Range", "bytes=0-4"}, ":root"},
		{"/guarded/", 200, []string{"X-Key", "open"}, "A static site"},
		{"/guarded/nothing", 404, []string{"X-Key", "open"}, ""},
		{"/guarded/../static.py", 404, []string{"X-Key", "open"}, ""},
		{"/subclass/style.css", 403, nil, "no"},
		{"/subclass/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
	} {
		resp := s.get(c.path, c.header...).want(c.status, c.text)
		guarded := strings.HasPrefix(c.path, "/guarded") && !strings.Contains(c.path, "..")
		if got := resp.Header.Get("Cache-Control"); guarded && c.header != nil && got != "private" {
			t.Errorf("%s: Cache-Control %q", c.path, got)
		}
	}
}

func TestDebugPageIsShownOnlyWithDebug(t *testing.T) {
	t.Parallel()
	plain := []string{"ZeroDivision", "raises.py", "token", "Traceback", "Variables"}
	for _, c := range []struct {
		args      []string
		with, not []string
	}{
		{[]string{"0"}, nil, plain},
		{[]string{"1"}, []string{"ZeroDivisionError", "division by zero", "raises.py", "in <b>fails</b>", "token"},
			[]string{"hush-hush"}},
		{[]string{"1", "without page"}, nil, plain},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := start(t, "testdata/raises.py", c.args...)
			s.Complains = true
			s.get("/x?<i>").want(500, c.with...).lacks(c.not...)
			s.get("/").want(500)
			s.Says("Traceback")
		})
	}
}
