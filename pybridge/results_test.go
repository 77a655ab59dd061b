package pybridge

import (
	"os"
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	source, err := os.ReadFile("testdata/app.py")
	if err != nil {
		t.Fatal(err)
	}
	var counted strings.Builder
	for i := range 100 {
		counted.WriteString(strings.TrimSpace(strings.Join([]string{itoa(i), ","}, "")))
	}
	for _, c := range []struct {
		target string
		status int
		kind   string
		length int64
		body   string
		failed bool
	}{
		{"/text", 200, "text/html; charset=utf-8", 6, "h\u00e9llo", false},
		{"/binary", 201, "", 2, "\x00\xff", false},
		{"/lists", 200, "application/octet-stream", 3, "abc", false},
		{"/view", 200, "application/octet-stream", 6, "viewed", false},
		{"/large", 200, "application/octet-stream", 300008, "head" + strings.Repeat("x", 300000) + "tail", false},
		{"/as_json", 200, "application/json", 16, `{"a":[1,"é"]}`, false},
		{"/generator", 200, "", -1, counted.String(), false},
		{"/late", 202, "text/html; charset=utf-8", -1, "text", false},
		{"/empty_generator", 200, "text/html; charset=utf-8", -1, "", false},
		{"/raises_later", 200, "application/octet-stream", -1, "first", true},
		{"/bad_chunk", 200, "application/octet-stream", -1, "ok", true},
		{"/close_runs", 200, "application/octet-stream", -1, "ab", false},
		{"/real_file", 200, "text/x-python; charset=utf-8", int64(len(source)) - 3, string(source[3:]), false},
		{"/text_file", 200, "text/x-python; charset=utf-8", int64(len(source)), string(source), false},
		{"/temporary_file", 200, "text/plain; charset=utf-8", 6, "456789", false},
		{"/wrapped_file", 200, "", int64(len(source)), string(source), false},
		{"/memory_file", 200, "application/octet-stream", -1, strings.Repeat("z", 200000), false},
		{"/gzip_file", 200, "application/octet-stream", -1, "inside", false},
		{"/short_length", 200, "application/octet-stream", 10, "123", true},
		{"/long_length", 200, "application/octet-stream", 3, "123", false},
		{"/short_stream", 200, "application/octet-stream", 10, "123", true},
		{"/long_stream", 200, "application/octet-stream", 3, "123", false},
		{"/no_content", 204, "", -1, "", false},
		{"/writes", 200, "", -1, "written text returned", false},
		{"/exc_info", 500, "application/octet-stream", 8, "replaced", false},
	} {
		t.Run(c.target[1:], func(t *testing.T) {
			r := loop.get(t, c.target)
			length := c.length
			if c.target == "/as_json" {
				length = int64(len(c.body))
			}
			if r.head.Status != c.status || r.head.Type != c.kind || r.head.Length != length || r.failed != c.failed {
				t.Errorf("status %d type %q length %d failed %v; want %d %q %d %v", r.head.Status, r.head.Type,
					r.head.Length, r.failed, c.status, c.kind, length, c.failed)
			}
			if got := r.body.String(); got != c.body {
				t.Errorf("body %.200q, want %.200q", got, c.body)
			}
		})
	}
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + itoa(i%10)
}

// The server replaces the Content-Length of an answer that it makes itself, so no body is too short.
func TestStaticAnswer(t *testing.T) {
	said := captured(t, func() {
		r := loop.get(t, "/static_with_length")
		if string(r.head.Static) != "{}" || r.head.Length != -1 || r.failed {
			t.Errorf("options %q, length %d, failed %v", r.head.Static, r.head.Length, r.failed)
		}
	})
	if said != "" {
		t.Error(said)
	}
}
