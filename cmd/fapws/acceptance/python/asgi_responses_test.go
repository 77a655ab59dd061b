package python_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The test sends the events of a response in every order, and every kind of invalid event (ASGI 3, "HTTP & WebSocket
// ASGI Message Format"). The client accepts trailers.
func TestASGIEventsInTheWrongOrderRaiseInTheApplication(t *testing.T) {
	t.Parallel()
	const unexpected = "RuntimeError: send(): unexpected "
	tests := []struct {
		name, messages string // names in the messages are those of events.py
		want           string // response as "status:body", and "|" with its trailers; or "500"
		said           string // beginnings of the errors, for each message until the last that fails, divided by "|"
	}{
		{"whole", `start, hello`, "200:hello", ""},
		{"pieces", `start, more(b"he"), more(b""), more(b"llo"), body(b"")`, "200:hello", ""},
		{"the last piece not empty", `start, more(b"he"), body(b"llo")`, "200:hello", ""},
		{"no body", `start, BODY`, "200:", ""},
		{"no headers", `status(201), hello`, "201:hello", ""},
		{"more_body is true-like", `start, body(b"he", more_body=1), body(b"llo")`, "200:hello", ""},
		{"unknown keys", `{**START, "trailers": False, "x": 1}, body(b"hello", x=1)`, "200:hello", ""},
		{"bytearray", `start, body(bytearray(b"hello"))`, "200:hello", ""},
		{"memoryview", `start, body(memoryview(b"xhellox")[1:6])`, "200:hello", ""},

		{"nothing", ``, "500", ""},
		{"only the start", `start`, "500", ""},
		{"without the end", `start, more(b"hello")`, "200, broken:hello", ""},
		{"body first", `hello, start, hello`, "200:hello",
			unexpected + "'http.response.body': 'http.response.start' must come first"},
		{"only a body", `hello`, "500", unexpected + "'http.response.body': 'http.response.start' must come first"},
		{"two starts", `start, start, hello`, "200:hello",
			"|" + unexpected + "'http.response.start': 'http.response.body' must follow"},
		{"start in the body", `start, more(b"he"), start, body(b"llo")`, "200:hello",
			"||" + unexpected + "'http.response.start'"},
		{"body after the end", `start, hello, hello`, "200:hello",
			"||" + unexpected + "'http.response.body': the response is complete"},
		{"start after the end", `start, hello, start`, "200:hello",
			"||" + unexpected + "'http.response.start': the response is complete"},

		{"unknown type", `{"type": "http.response.tea"}, start, hello`, "200:hello",
			"ValueError: send(): unsupported message type 'http.response.tea'"},
		{"an event of the server", `{"type": "http.disconnect"}, start, hello`, "200:hello",
			"ValueError: send(): unsupported message type 'http.disconnect'"},
		{"of a WebSocket", `{"type": "websocket.accept"}, start, hello`, "200:hello",
			"ValueError: send(): unsupported message type 'websocket.accept'"},
		{"type is no str", `{"type": b"http.response.start", "status": 200}, start, hello`, "200:hello",
			"ValueError: send(): unsupported message type b'http.response.start'"},
		{"no type", `{"status": 200}, start, hello`, "200:hello", "TypeError: send(): the message has no 'type'"},
		{"no dict", `[("type", "http.response.start")], None, start, hello`, "200:hello",
			"TypeError: send(): a message must be a dict, not list|TypeError: send(): a message must be a dict, not None"},

		{"no status", `{"type": "http.response.start"}, start, hello`, "200:hello",
			"TypeError: send(): 'http.response.start' has no 'status'"},
		{"status is a str", `status("200"), start, hello`, "200:hello",
			"TypeError: send(): 'status' of 'http.response.start' must be an int, not '200'"},
		{"status is a bool", `status(True), start, hello`, "200:hello", "TypeError: send(): 'status' of"},
		{"status too small", `status(0), status(-1), status(99), status(100), start, hello`, "200:hello",
			strings.Repeat("ValueError: send(): 'status' of|", 4)},
		{"status too large", `status(1000), status(10**30), start, hello`, "200:hello",
			strings.Repeat("ValueError: send(): 'status' of|", 2)},
		{"status without a name", `status(299), hello`, "299:hello", ""},

		{"headers are tuples, lists, iterators", `headers(iter([(b"x-one", b"1"), [b"x-two", b"2"]])), hello`,
			"200:hello", ""},
		{"headers are None", `headers(None), hello`, "200:hello", ""},
		{"headers are a dict", `headers({b"x-one": b"1"}), start, hello`, "200:hello", "TypeError: send(): "},
		{"headers are a number", `headers(1), start, hello`, "200:hello", "TypeError: send(): "},
		{"a name is a str", `headers([("x-one", b"1")]), start, hello`, "200:hello",
			"TypeError: header name must be bytes, not str: 'x-one'"},
		{"a value is a number", `headers([(b"content-length", 5)]), start, hello`, "200:hello",
			"TypeError: header value must be bytes, not int: 5"},
		{"no pairs", `headers([(b"x-one", b"1", b"2")]), headers([b"x-one"]), start, hello`, "200:hello",
			"TypeError: send(): |TypeError: send(): "},
		{"an empty name", `headers([(b"", b"1")]), start, hello`, "200:hello", "ValueError: header name b'' is not a token"},
		{"a space in a name", `headers([(b"x one", b"1")]), start, hello`, "200:hello",
			"ValueError: header name b'x one' is not a token"},
		{"line ends and NUL in values",
			`headers([(b"x", b"1\r\nx-two: 2")]), headers([(b"x", b"1\n")]), headers([(b"x", b"1\0")]), start, hello`,
			"200:hello", strings.Repeat("ValueError: header b'x': value|", 3)},
		{"a length that is none", `headers([(b"content-length", b"five")]), start, hello`, "200:hello",
			"ValueError: Content-Length b'five' is not"},
		{"a negative length", `headers([(b"content-length", b"-5")]), start, hello`, "200:hello",
			"ValueError: Content-Length b'-5' is not"},
		{"body is a str", `start, body("hello"), hello`, "200:hello",
			"|TypeError: send(): 'body' of 'http.response.body' must be bytes, not str"},
		{"body is none", `start, body(None), hello`, "200:hello", "|TypeError: send(): 'body' of"},

		{"trailers", `announce, hello, end`, "200:hello|X-Sum=1", ""},
		{"trailers after pieces", `announce, more(b"he"), body(b"llo"), end`, "200:hello|X-Sum=1", ""},
		{"trailers after an empty piece", `announce, more(b"he"), more(b"llo"), BODY, end`, "200:hello|X-Sum=1", ""},
		{"more trailers", `announce, hello, {**end, "more_trailers": True}, trailers([[b"x-sum", b"2"], (b"x-a", b"")])`,
			"200:hello|X-A= X-Sum=1,2", ""},
		{"no fields", `announce, hello, TRAILERS`, "200:hello", ""},
		{"trailers with a length", `{**announce, "headers": [(b"content-length", b"5")]}, hello, end`, "200:hello", ""},
		{"trailers of 204", `{**announce, "status": 204}, BODY, end`, "204:", ""},
		{"trailers never sent", `announce, hello`, "200, broken:hello", ""},
		{"trailers without the end", `announce, hello, {**TRAILERS, "more_trailers": True}`, "200, broken:hello", ""},
		{"trailers not announced", `start, hello, end`, "200:hello",
			"||" + unexpected + "'http.response.trailers': 'trailers' of 'http.response.start' was not True"},
		{"trailers before the body", `announce, end, hello, end`, "200:hello|X-Sum=1",
			"|" + unexpected + "'http.response.trailers': 'http.response.body' must follow"},
		{"trailers in the body", `announce, more(b"he"), end, body(b"llo"), end`, "200:hello|X-Sum=1",
			"||" + unexpected + "'http.response.trailers': 'http.response.body' must follow"},
		{"a body behind", `announce, hello, hello, end`, "200:hello|X-Sum=1",
			"||" + unexpected + "'http.response.body': 'http.response.trailers' must follow"},
		{"trailers twice", `announce, hello, end, end`, "200:hello|X-Sum=1",
			"|||" + unexpected + "'http.response.trailers': the response is complete"},

		{"a line end in a trailer", `announce, hello, trailers([(b"x-a", b"b\r\nx-c: d")]), end`, "200:hello|X-Sum=1",
			"||ValueError: header b'x-a': value"},
		{"a pseudo field", `announce, hello, trailers([(b":status", b"200")]), end`, "200:hello|X-Sum=1",
			"||ValueError: header name b':status' is not a token"},
		{"framing", `announce, hello, trailers([(b"X-Kept", b"no"), (b"Transfer-Encoding", b"chunked")]), end`,
			"200:hello|X-Sum=1", "||ValueError: header b'Transfer-Encoding' must not be a trailer field"},
		{"too many", `announce, hello, trailers([(b"x-a", b"b")] * 101), end`, "200:hello|X-Sum=1",
			"||ValueError: send(): more than 100 trailer fields"},
		{"too large", `announce, hello, trailers([(b"x-a", b"b" * 16384)]), end`, "200:hello|X-Sum=1",
			"||ValueError: send(): more than 100 trailer fields or 16384 bytes"},
		{"trailers are no list", `announce, hello, trailers(7), end`, "200:hello|X-Sum=1",
			"||TypeError: send(): 'headers' must be"},
	}
	s := fapwstest.Command{Script: "asgi/events.py:app", Complains: true}.Serve(t, fapwstest.Inline)
	for i, test := range tests {
		path := fmt.Sprint("/", i)
		a := s.Ask(fapwstest.Request("POST", path, "["+test.messages+"]", "TE: trailers"))
		got := fmt.Sprintf("%d:%s", a.StatusCode, a.Text)
		if a.Err != nil {
			got = fmt.Sprintf("%d, broken:%s", a.StatusCode, a.Text)
		} else if fields := listed(a.Trailer); fields != "" {
			got += "|" + fields
		}
		fapwstest.Truef(t, got == test.want || (test.want == "500" && a.StatusCode == 500), "%s: %q, want %q", test.name, got,
			test.want)
		var said []string
		fapwstest.Must(t, json.Unmarshal([]byte(s.Get("/outcome"+path, 200).Text), &said))
		wanted := strings.Split(test.said, "|")
		for i, text := range said {
			want := ""
			if i < len(wanted) {
				want = wanted[i]
			}
			fapwstest.Truef(t, strings.HasPrefix(text, want) && (want != "" || text == ""), "%s: message %d: %q, want %q",
				test.name, i, text, want)
		}
	}
	s.Says(`: the application returned without a response\n`)
	s.Says(`returned after 'http\.response\.start', without 'http\.response\.body'\n`)
	s.Says(`returned before the end of its response \('more_body' was true\)\n`)
	s.Says("the application returned without 'http.response.trailers', which 'http.response.start' announced")
}

func TestASGITrailersAreSentToClientsThatAcceptThem(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/events.py:app")
	for te, want := range map[string]string{"gzip, trailers": "http.response.pathsend http.response.trailers",
		"gzip": "http.response.pathsend"} {
		s.Get("/extensions", 200, "TE: "+te).Is(t, want)
	}
	s.Ask("GET /extensions HTTP/1.0\r\nTE: trailers\r\n\r\n").Is(t, "http.response.pathsend")
	w := s.Dial()
	for _, c := range []struct{ method, te, messages, want string }{
		{"POST", "", "announce, hello, end", ""},
		{"POST", "", "announce, hello", ""},
		{"HEAD", "trailers", "announce, hello, end", ""},
		{"POST", "gzip, trailers", "announce, hello, end", "X-Sum=1"},
	} {
		w.Send(fapwstest.Request(c.method, "/next", "["+c.messages+"]", "TE: "+c.te))
		a := w.AnswerTo(c.method).Want(t, 200)
		fapwstest.Equalf(t, listed(a.Trailer), c.want, "%+v: %q", c, a.Trailer)
	}
}

func TestASGIExceptionLeavesA500OrAnAbortedResponse(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/events.py:app", Complains: true}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Request("POST", "/early?raise", "[hello]")).Want(t, 500)
	s.Says(`(?s)POST /early\?raise.*Traceback.*events\.py", line \d+, in app\n` +
		`.*await send\(message\).*RuntimeError: send\(\): unexpected`)
	w := s.DialSend(fapwstest.Request("POST", "/late?raise", `[start, more(b"hello"), None]`))
	text, _ := io.ReadAll(w.In)
	fapwstest.Truef(t, strings.HasSuffix(string(text), "\r\n\r\n5\r\nhello\r\n"), "a response that fails: %q", text)
	s.Says(`(?s)POST /late\?raise.*Traceback.*TypeError: send\(\): a message must be a dict, not NoneType`)
	// An exception of the application after the end of the response does not affect the client.
	w = s.DialSend(fapwstest.Request("POST", "/after?raise", "[start, hello, hello]"), fapwstest.Get("/outcome/after"))
	w.Answer().Is(t, "hello")
	w.Answer().Want(t, 200, "the response is complete")
	s.Says(`(?s)POST /after\?raise from 127\.0\.0\.1, after the end of its response\n.*RuntimeError: send\(\): ` +
		`unexpected 'http.response.body': the response is complete`)
	said := s.Stderr.String()
	fapwstest.Truef(t, !strings.Contains(said, "fapws/_"), "the traceback shows code of the server: %s", said)
}

func listed(fields http.Header) string {
	var list []string
	for _, name := range []string{"X-A", "X-Kept", "X-Sum", "X-C", "Set-Cookie"} {
		if values := fields[name]; values != nil {
			list = append(list, name+"="+strings.Join(values, ","))
		}
	}
	return strings.Join(list, " ")
}

func TestASGIBackPressureBoundsTheMemoryOfADownload(t *testing.T) {
	t.Parallel()
	const (
		size  = 64 << 20
		bound = 24 << 20
	)
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/flow.py:app")
	s.Get("/download/warm?100000", 200)
	before := s.RSS()
	w := s.Dial()
	_ = w.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
	w.Get("/download/1?" + strconv.Itoa(size))
	r := w.Head("GET")
	sent := s.Stalls("the application waits for the client", "/sent/download/1")
	fapwstest.Truef(t, sent <= 16<<20, "the application has sent %d bytes to a client that reads nothing", sent)
	n, err := io.Copy(io.Discard, r.Body)
	fapwstest.Truef(t, n == size && err == nil, "%d bytes, %v", n, err)
	grown := s.RSS() - before
	fapwstest.Truef(t, grown <= bound, "the server has %d MiB more", grown>>20)
}

// In each request, and in its tasks and threads, context variables start with the values that they had after the import
// of the application.
func TestASGIContextVariablesBelongToTheirRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/context.py:app")
	all := fapwstest.Repeat(20, func(i int) *fapwstest.Client { return s.DialGet(fmt.Sprintf("/steps?%d", i)) })
	for i, w := range all {
		w.Answer().Is(t, fmt.Sprintf("import %d", i))
		w.Get(fmt.Sprintf("/receive?again%d", i))
	}
	for i, w := range all {
		w.Answer().Is(t, fmt.Sprintf("import again%d", i))
	}
	s.Get("/thread?x", 200).Is(t, "x in another thread: True")
	s.Get("/task?x", 200).Is(t, "Task True True True True")
	s.Get("/timeout?x", 200).Is(t, "timeout x")
}

func TestASGIResponsesHaveValidBodiesLengthsAndFields(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/files.py:app", Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range []string{"204", "304"} {
		w := s.DialSend(fapwstest.Get("/status/"+status), fapwstest.Get("/status/200"))
		a := w.Answer()
		fapwstest.Truef(t, a.Text == "" && a.Header.Get("Transfer-Encoding") == "", "%s: %q %v", status, a.Text, a.Header)
		w.Answer().Is(t, "helloworld")
	}
	w := s.DialSend(fapwstest.Request("HEAD", "/status/200", ""), fapwstest.Get("/status/404"))
	a := w.AnswerTo("HEAD")
	fapwstest.Truef(t, a.StatusCode == 200 && a.Text == "", "HEAD: %q", a.Text)
	w.Answer().Want(t, 404, "helloworld")

	w = s.Dial()
	w.Send(fapwstest.Get("/length/7/ab"), fapwstest.Get("/length/5/a"), fapwstest.Get("/length/0/"),
		fapwstest.Get("/length/0/ab"))
	for _, want := range []string{"aaaaabb", "aaaaa", "", ""} {
		w.Answer().Is(t, want)
	}
	s.Says(`body exceeds its Content-Length`)
	w = s.DialSend(fapwstest.Get("/length/12/ab"), fapwstest.Get("/length/5/a"))
	a = w.Answer()
	fapwstest.Truef(t, a.Err != nil && a.Text == "aaaaabbbbb", "a short body: %q, %v", a.Text, a.Err)
	s.Says(`body has 10 bytes, but its Content-Length is 12`)
	w = s.DialSend("GET /status/200 HTTP/1.0\r\n\r\n")
	if text := w.Rest(); !strings.HasSuffix(text, "\r\n\r\nhelloworld") || strings.Contains(text, "chunked") {
		t.Errorf("HTTP/1.0: %q", text)
	}

	a = s.Get("/fields", 200)
	a.Field(t, "X-Upper", "1", "Set-Cookie", "a=1, b=2", "X-High", "\xe9", "Server", "mine", "Date", "today")
	fapwstest.Truef(t, a.Close, "Connection: close of the application is not heeded")
}

func TestASGIPathsendSendsTheFileOfAPath(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/files.py:app")
		want := s.Get("/path/files.py", 200).Field(t, "Content-Type", "text/plain")
		fapwstest.Truef(t, want.ContentLength == int64(len(want.Text)) && strings.HasPrefix(want.Text, `"""Sends files`),
			"%d, %.60q", want.ContentLength, want.Text)
		w := s.Dial()
		w.Send(fapwstest.Request("HEAD", "/path/files.py", ""), fapwstest.Get("/relative/files.py"),
			fapwstest.Get("/path/missing"), fapwstest.Get("/path"), fapwstest.Get("/bytes/files.py"))
		a := w.AnswerTo("HEAD")
		fapwstest.Truef(t, a.ContentLength == want.ContentLength && a.Text == "", "HEAD: %d, %q", a.ContentLength, a.Text)
		w.Answer().Is(t, want.Text)
		w.Answer().Want(t, 200, "FileNotFoundError: [Errno 2]", "missing'")
		w.Answer().Want(t, 200, "IsADirectoryError: [Errno 21]")
		w.Answer().Want(t, 200, "TypeError: send(): 'path' of 'http.response.pathsend' must be a str")
	})
}
