package pybridge

import (
	"os"
	"strings"
	"syscall"
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

func TestHeadHasNoBody(t *testing.T) {
	for _, c := range []struct {
		target string
		length int64
	}{{"/text", 6}, {"/large", 300008}, {"/generator", -1}, {"/short_length", 10}} {
		r := loop.send(t, "HEAD "+c.target, "")
		<-r.done
		if r.body.Len() != 0 || r.head.Length != c.length || r.failed {
			t.Errorf("HEAD %s: %d bytes, length %d, failed %v", c.target, r.body.Len(), r.head.Length, r.failed)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"/raises", "RuntimeError: boom"},
		{"/exits", "SystemExit: 3"},
		{"/interrupted", "\nKeyboardInterrupt\n"},
		{"/recursion", "RecursionError"},
		{"/memory", "\nMemoryError\n"},
		{"/none", "handler none returned None"},
		{"/number", "handler number returned 7"},
		{"/twice", "already called"},
		{"/two_lengths", "conflicting Content-Lengths 1 and 2"},
		{"/header?X-A=a\\r\\nX-B:b", "control character"},
		{"/header?X-A=a\\x00b", "control character"},
		{"/header?X(A=b", "not a token"},
		{"/header?Content-Length=-1", "not a number of bytes"},
	} {
		var r *response
		log := captured(t, func() { r = loop.get(t, c.target) })
		if r.head.Status != 500 || r.failed || !strings.Contains(r.body.String(), "Internal Server Error") {
			t.Errorf("%s: status %d, body %q", c.target, r.head.Status, &r.body)
		}
		if strings.Contains(r.body.String(), "boom") || strings.Contains(r.body.String(), "local value") {
			t.Errorf("%s: the page leaks: %q", c.target, &r.body)
		}
		path, _, _ := strings.Cut(c.target, "?")
		if strings.Count(log, c.want) != 1 || strings.Count(log, "GET "+path) != 1 {
			t.Errorf("%s: log %q lacks %q or the request line, or has them twice", c.target, log, c.want)
		}
	}
	if r := loop.get(t, "/text"); r.head.Status != 200 {
		t.Error("no answer after the failures")
	}
}

func TestCloseAlwaysRuns(t *testing.T) {
	loop.get(t, "/closed_names")
	captured(t, func() {
		loop.get(t, "/close_runs")
		loop.get(t, "/close_after_error")
		r := loop.send(t, "HEAD /close_runs", "")
		<-r.done
	})
	if got := loop.get(t, "/closed_names").body.String(); got != "close_runs,close_after_error,close_runs" {
		t.Errorf("closed: %q", got)
	}
}

func TestInput(t *testing.T) {
	const body = "one\ntwo three\n\nlast"
	for _, c := range []struct{ how, want string }{
		{"all", body},
		{"line", "one\n|two||" + " t|hree\n\nlast|"},
		{"lines", "one\n|two three\n|\n|last"},
		{"iterate", "one\n|two three\n|\n|last"},
		{"value", body + body[4:]},
	} {
		r := loop.send(t, "POST /reads?"+c.how, body)
		<-r.done
		if r.body.String() != c.want {
			t.Errorf("memory, %s: %q, want %q", c.how, &r.body, c.want)
		}
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(body)
		fd, _ := syscall.Dup(int(f.Fd()))
		f.Close()
		r = loop.submit(t, "POST /reads?"+c.how, nil, fd, false)
		<-r.done
		if r.body.String() != c.want {
			t.Errorf("file, %s: %q, want %q", c.how, &r.body, c.want)
		}
		if err := syscall.Close(fd); err == nil {
			t.Errorf("file, %s: the descriptor was left open", c.how)
		}
	}
}

func TestStartResponseMethods(t *testing.T) {
	r := loop.get(t, "/methods")
	if r.head.Status != 203 {
		t.Errorf("status %d", r.head.Status)
	}
	for _, want := range []string{"X-First: 1\r\n", "X-Second: 2\r\n", "X-Third: 3\r\n", "Set-Cookie: k=v; ", "HttpOnly", "Set-Cookie: old="} {
		if !strings.Contains(r.fields, want) {
			t.Errorf("fields %q lack %q", r.fields, want)
		}
	}
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
