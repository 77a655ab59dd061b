package samples

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func fromJSON(t *testing.T, text string) (value map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return value
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/contrib.py")
	resp, body := s.post("/environ/caf%C3%A9%20x?a=1&b=%26", urlencoded, strings.NewReader("a=2&c=+%C3%A9"))
	s.want(resp, body, 200)
	want := map[string]any{
		"class":            "Environ",
		"fapws":            true,
		"params":           map[string]any{"a": []any{"1", "2"}, "b": []any{"&"}, "c": []any{" é"}},
		"rest of the body": "&c=+%C3%A9",
		"uri":              "/environ/café x?a=1&b=%26",
		"raw_path":         "/environ/caf%C3%A9%20x",
		"remote_addr":      "127.0.0.1",
	}
	if got := fromJSON(t, body); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestStartResponse(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/contrib.py")
	resp, body := s.get("/start")
	s.want(resp, body, 201)
	cookies := []string{
		`a="b c"; Max-Age=60; Path=/; HttpOnly; SameSite=Lax`,
		"old=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/x",
	}
	if got := resp.Header.Values("Set-Cookie"); !reflect.DeepEqual(got, cookies) {
		t.Errorf("got  %q\nwant %q", got, cookies)
	}
	if one, two := resp.Header.Get("X-One"), resp.Header.Get("X-Two"); one != "1" || two != "2" {
		t.Errorf("X-One %q, X-Two %q", one, two)
	}
	want := map[string]any{"status": 201.0, "headers": []any{
		[]any{"X-One", "1"}, []any{"X-Two", "2"}, []any{"Set-Cookie", cookies[0]}, []any{"Set-Cookie", cookies[1]},
	}}
	if got := fromJSON(t, body); !reflect.DeepEqual(got, want) {
		t.Errorf("the handler saw %v\nwant %v", got, want)
	}

	resp, body = s.get("/refused")
	s.want(resp, body, 200)
	if strings.Contains(body, "no error") || resp.Header.Get("X-Evil") != "" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("%s %q", body, resp.Header)
	}
}

func TestStaticfileBehindAHandler(t *testing.T) {
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
		resp, body := s.get(c.path, c.header...)
		s.want(resp, body, c.status, c.text)
		guarded := strings.HasPrefix(c.path, "/guarded") && !strings.Contains(c.path, "..") // that one is /static.py
		if got := resp.Header.Get("Cache-Control"); guarded && c.header != nil && got != "private" {
			t.Errorf("%s: Cache-Control %q", c.path, got)
		}
	}
}

func TestHandlerThatRaises(t *testing.T) {
	t.Parallel()
	plain := []string{"ZeroDivision", "raises.py", "token", "Traceback", "Variables"}
	for _, c := range []struct {
		args      []string
		with, not []string
	}{
		{[]string{"0"}, nil, plain},
		{[]string{"1"}, []string{"ZeroDivisionError", "division by zero", "raises.py", "in <b>fails</b>", "token"}, []string{"hush-hush"}},
		{[]string{"1", "without page"}, nil, plain},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := start(t, "testdata/raises.py", c.args...)
			s.Complains = true
			resp, body := s.get("/x?<i>")
			s.want(resp, body, 500, c.with...)
			for _, text := range c.not {
				if strings.Contains(body, text) {
					t.Errorf("%q in the page: %s", text, body)
				}
			}
			resp, body = s.get("/")
			s.want(resp, body, 500)
			s.Says("Traceback")
		})
	}
}
