package python_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const (
	start = `{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}`
	hello = `{"type": "http.response.body", "body": b"hello"}`
)

// The test sends the events of a response in every order, and every kind of invalid event (ASGI 3, "HTTP & WebSocket
// ASGI Message Format").
func TestASGIEventsInTheWrongOrderRaiseInTheApplication(t *testing.T) {
	const (
		none   = "500"
		broken = "200, broken:"
		before = "RuntimeError: send(): unexpected 'http.response.body': 'http.response.start' must come first"
		after  = "RuntimeError: send(): unexpected 'http.response.body': the response is complete"
	)
	more := func(body string) string {
		return fmt.Sprintf(`{"type": "http.response.body", "body": b%q, "more_body": True}`, body)
	}
	body := func(value string) string { return `{"type": "http.response.body", "body": ` + value + `}` }
	status := func(value string) string { return `{"type": "http.response.start", "status": ` + value + `}` }
	headers := func(value string) string {
		return `{"type": "http.response.start", "status": 200, "headers": ` + value + `}`
	}
	tests := []struct {
		name     string
		messages []string
		want     string // status and body of the response, as "status:body"
		// beginnings of the errors, one for each message that fails
		said []string
	}{
		{"whole", []string{start, hello}, "200:hello", nil},
		{"pieces", []string{start, more("he"), more(""), more("llo"), body(`b""`)}, "200:hello", nil},
		{"the last piece not empty", []string{start, more("he"), body(`b"llo"`)}, "200:hello", nil},
		{"no body", []string{start, `{"type": "http.response.body"}`}, "200:", nil},
		{"no headers", []string{status("201"), hello}, "201:hello", nil},
		{"more_body is true-like", []string{start, `{"type": "http.response.body", "body": b"he", "more_body": 1}`,
			body(`b"llo"`)}, "200:hello", nil},
		{"unknown keys", []string{`{"type": "http.response.start", "status": 200, "trailers": False, "x": 1}`,
			`{"type": "http.response.body", "body": b"hello", "x": 1}`}, "200:hello", nil},
		{"bytearray", []string{start, body(`bytearray(b"hello")`)}, "200:hello", nil},
		{"memoryview", []string{start, body(`memoryview(b"xhellox")[1:6]`)}, "200:hello", nil},

		{"nothing", nil, none, nil},
		{"only the start", []string{start}, none, nil},
		{"without the end", []string{start, more("hello")}, broken + "hello", nil},
		{"body first", []string{hello, start, hello}, "200:hello", []string{before}},
		{"only a body", []string{hello}, none, []string{before}},
		{"two starts", []string{start, start, hello}, "200:hello",
			[]string{"", "RuntimeError: send(): unexpected 'http.response.start': 'http.response.body' must follow"}},
		{"start in the body", []string{start, more("he"), start, body(`b"llo"`)}, "200:hello",
			[]string{"", "", "RuntimeError: send(): unexpected 'http.response.start'"}},
		{"body after the end", []string{start, hello, hello}, "200:hello", []string{"", "", after}},
		{"start after the end", []string{start, hello, start}, "200:hello",
			[]string{"", "", "RuntimeError: send(): unexpected 'http.response.start': the response is complete"}},

		{"unknown type", []string{`{"type": "http.response.tea"}`, start, hello}, "200:hello",
			[]string{"ValueError: send(): unsupported message type 'http.response.tea'"}},
		{"an event of the server", []string{`{"type": "http.disconnect"}`, start, hello}, "200:hello",
			[]string{"ValueError: send(): unsupported message type 'http.disconnect'"}},
		{"of a WebSocket", []string{`{"type": "websocket.accept"}`, start, hello}, "200:hello",
			[]string{"ValueError: send(): unsupported message type 'websocket.accept'"}},
		{"of a lifespan", []string{`{"type": "lifespan.startup.complete"}`, start, hello}, "200:hello",
			[]string{"ValueError: send(): unsupported message type 'lifespan.startup.complete'"}},
		{"type is no str", []string{`{"type": b"http.response.start", "status": 200}`, start, hello}, "200:hello",
			[]string{"ValueError: send(): unsupported message type b'http.response.start'"}},
		{"no type", []string{`{"status": 200}`, start, hello}, "200:hello",
			[]string{"TypeError: send(): the message has no 'type'"}},
		{"no dict", []string{`[("type", "http.response.start")]`, `None`, start, hello}, "200:hello",
			[]string{"TypeError: send(): a message must be a dict, not list",
				"TypeError: send(): a message must be a dict, not NoneType"}},

		{"no status", []string{`{"type": "http.response.start"}`, start, hello}, "200:hello",
			[]string{"TypeError: send(): 'http.response.start' has no 'status'"}},
		{"status is a str", []string{status(`"200"`), start, hello}, "200:hello",
			[]string{"TypeError: send(): 'status' of 'http.response.start' must be an int, not '200'"}},
		{"status is a float", []string{status(`200.0`), start, hello}, "200:hello",
			[]string{"TypeError: send(): 'status' of"}},
		{"status is a bool", []string{status(`True`), start, hello}, "200:hello",
			[]string{"TypeError: send(): 'status' of"}},
		{"status is none", []string{status(`None`), start, hello}, "200:hello",
			[]string{"TypeError: send(): 'status' of"}},
		{"status too small", []string{status(`0`), status(`-1`), status(`99`), status("100"), start, hello},
			"200:hello", slices.Repeat([]string{"ValueError: send(): 'status' of"}, 4)},
		{"status too large", []string{status(`1000`), status(`10**30`), start, hello}, "200:hello",
			slices.Repeat([]string{"ValueError: send(): 'status' of"}, 2)},
		{"status without a name", []string{status(`299`), hello}, "299:hello", nil},

		{"headers are tuples, lists, iterators", []string{headers(`iter([(b"x-one", b"1"), [b"x-two", b"2"]])`), hello},
			"200:hello", nil},
		{"headers are None", []string{headers(`None`), hello}, "200:hello", nil},
		{"headers are a dict", []string{headers(`{b"x-one": b"1"}`), start, hello}, "200:hello",
			[]string{"TypeError: send(): "}},
		{"headers are a number", []string{headers(`1`), start, hello}, "200:hello", []string{"TypeError: send(): "}},
		{"a name is a str", []string{headers(`[("x-one", b"1")]`), start, hello}, "200:hello",
			[]string{"TypeError: header name must be bytes, not str: 'x-one'"}},
		{"a value is a str", []string{headers(`[(b"x-one", "1")]`), start, hello}, "200:hello",
			[]string{"TypeError: header value must be bytes, not str: '1'"}},
		{"a value is a number", []string{headers(`[(b"content-length", 5)]`), start, hello}, "200:hello",
			[]string{"TypeError: header value must be bytes, not int: 5"}},
		{"a triple", []string{headers(`[(b"x-one", b"1", b"2")]`), start, hello}, "200:hello",
			[]string{"TypeError: send(): "}},
		{"no pair", []string{headers(`[b"x-one"]`), start, hello}, "200:hello", []string{"TypeError: send(): "}},
		{"an empty name", []string{headers(`[(b"", b"1")]`), start, hello}, "200:hello",
			[]string{"ValueError: header name b'' is not a token"}},
		{"a space in a name", []string{headers(`[(b"x one", b"1")]`), start, hello}, "200:hello",
			[]string{"ValueError: header name b'x one' is not a token"}},
		{"a line end in a value", []string{headers(`[(b"x-one", b"1\r\nx-two: 2")]`), headers(`[(b"x-one", b"1\n")]`),
			start, hello}, "200:hello", []string{"ValueError: header b'x-one': value",
			"ValueError: header b'x-one': value"}},
		{"NUL in a value", []string{headers(`[(b"x-one", b"1\0")]`), start, hello}, "200:hello",
			[]string{"ValueError: header b'x-one': value"}},
		{"a length that is none", []string{headers(`[(b"content-length", b"five")]`), start, hello}, "200:hello",
			[]string{"ValueError: Content-Length b'five' is not"}},
		{"a negative length", []string{headers(`[(b"content-length", b"-5")]`), start, hello}, "200:hello",
			[]string{"ValueError: Content-Length b'-5' is not"}},

		{"body is a str", []string{start, body(`"hello"`), hello}, "200:hello",
			[]string{"", "TypeError: send(): 'body' of 'http.response.body' must be bytes, not str"}},
		{"body is none", []string{start, body(`None`), hello}, "200:hello",
			[]string{"", "TypeError: send(): 'body' of"}},
		{"body is a list", []string{start, body(`[b"hello"]`), hello}, "200:hello",
			[]string{"", "TypeError: send(): 'body' of"}},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/events.py:app", Complains: true}.Serve(t, m)
		for i, test := range tests {
			name := fmt.Sprint(i)
			a := s.Ask(fapwstest.Request("POST", "/"+name, "["+strings.Join(test.messages, ", ")+"]"))
			got := fmt.Sprintf("%d:%s", a.StatusCode, a.Text)
			if a.Err != nil {
				got = fmt.Sprintf("%d, broken:%s", a.StatusCode, a.Text)
			}
			if got != test.want && !(test.want == none && strings.HasPrefix(got, "500:")) {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
			saidOf(t, test.name, s.Get("/outcome/"+name, 200), len(test.messages), test.said)
		}
		s.Says(`: the application returned without a response\n`)
		s.Says(`returned after 'http\.response\.start', without 'http\.response\.body'\n`)
		s.Says(`returned before the end of its response \('more_body' was true\)\n`)
	})
}

// saidOf checks a response from /outcome, a JSON list with one text for each message that the application has sent. The
// text is the error of send(), or "". wanted contains the expected beginnings of the texts.
func saidOf(t *testing.T, name string, a *fapwstest.Answer, messages int, wanted []string) {
	t.Helper()
	var said []string
	if err := json.Unmarshal([]byte(a.Text), &said); err != nil || len(said) != messages {
		t.Fatalf("%s: %v, %q", name, err, said)
	}
	for i, text := range said {
		want := ""
		if i < len(wanted) {
			want = wanted[i]
		}
		if !strings.HasPrefix(text, want) || want == "" && text != "" {
			t.Errorf("%s: message %d: %q, want %q", name, i, text, want)
		}
	}
}

func TestASGIExceptionLeavesA500OrAnAbortedResponse(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/events.py:app", Complains: true}.Serve(t, m)
		s.Ask(fapwstest.Request("POST", "/early?raise", "["+hello+"]")).Want(t, 500)
		s.Says(
			`(?s)POST /early\?raise.*Traceback.*events\.py", line \d+, in app\n` +
				`.*await send\(message\).*RuntimeError: send\(\): unexpected`)
		w := s.Dial()
		w.Send(fapwstest.Request("POST", "/late?raise",
			"["+start+`, {"type": "http.response.body", "body": b"hello", "more_body": True}, None]`))
		if text, _ := io.ReadAll(w.In); !strings.HasSuffix(string(text), "\r\n\r\n5\r\nhello\r\n") {
			t.Errorf("a response that fails: %q", text)
		}
		s.Says(`(?s)POST /late\?raise.*Traceback.*TypeError: send\(\): a message must be a dict, not NoneType`)
		// An exception of the application after the end of the response does not affect the client.
		w = s.Dial()
		w.Send(fapwstest.Request("POST", "/after?raise", "["+start+", "+hello+", "+hello+"]"),
			fapwstest.Get("/outcome/after"))
		w.Answer().Is(t, "hello")
		w.Answer().Want(t, 200, "the response is complete")
		s.Says(
			`(?s)POST /after\?raise from 127\.0\.0\.1, after the end of its response\n.*RuntimeError: send\(\): ` +
				`unexpected 'http.response.body': the response is complete`)
		if said := s.Stderr.String(); strings.Contains(said, "fapws/_") {
			t.Errorf("the traceback shows code of the server: %s", said)
		}
	})
}
