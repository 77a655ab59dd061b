package python_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestASGITrailersFollowTheLastChunk(t *testing.T) {
	const (
		begins = `{"type": "http.response.start", "status": 200, "trailers": True}`
		first  = `{"type": "http.response.body", "body": b"he", "more_body": True}`
		last   = `{"type": "http.response.body", "body": b"llo"}`
		ends   = `{"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")]}`
		broken = "200, broken:hello"
	)
	trailers := func(headers string) string {
		return `{"type": "http.response.trailers", "headers": ` + headers + `}`
	}
	tests := []struct {
		name, te string
		messages []string
		want     string // response, as "status:body|trailers"
		// beginnings of the errors, in the order of the messages
		said []string
	}{
		{"one body", "trailers", []string{begins, hello, ends}, "200:hello|X-Sum=1", nil},
		{"pieces", "gzip, trailers", []string{begins, first, last, ends}, "200:hello|X-Sum=1", nil},
		{"an empty last piece", "trailers",
			[]string{begins, first, `{"type": "http.response.body", "body": b"llo", "more_body": True}`,
				`{"type": "http.response.body"}`, ends}, "200:hello|X-Sum=1", nil},
		{"more trailers", "trailers", []string{begins, hello,
			`{"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": True}`,
			`{"type": "http.response.trailers", "headers": [[b"x-sum", b"2"], (b"x-a", b"")]}`},
			"200:hello|X-A= X-Sum=1,2", nil},
		{"no fields", "trailers", []string{begins, hello, `{"type": "http.response.trailers"}`}, "200:hello|", nil},
		{"a length", "trailers",
			[]string{
				`{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")], ` +
					`"trailers": True}`, hello, ends}, "200:hello|", nil},
		{"204", "trailers", []string{`{"type": "http.response.start", "status": 204, "trailers": True}`,
			`{"type": "http.response.body"}`, ends}, "204:|", nil},
		{"not offered", "", []string{begins, first, last, ends}, "200:hello|", nil},
		{"not offered, not sent", "", []string{begins, hello}, "200:hello|", nil},

		{"never sent", "trailers", []string{begins, hello}, broken, nil},
		{"without the end", "trailers", []string{begins, hello,
			`{"type": "http.response.trailers", "more_trailers": True}`}, broken, nil},
		{"not announced", "trailers", []string{start, hello, ends}, "200:hello|",
			[]string{"", "", "RuntimeError: send(): unexpected 'http.response.trailers': 'trailers' of " +
				"'http.response.start' was not True"}},
		{"before the body", "trailers", []string{begins, ends, hello, ends}, "200:hello|X-Sum=1",
			[]string{"", "RuntimeError: send(): unexpected 'http.response.trailers': 'http.response.body' " +
				"must follow"}},
		{"in the body", "trailers", []string{begins, first, ends, last, ends}, "200:hello|X-Sum=1",
			[]string{"", "", "RuntimeError: send(): unexpected 'http.response.trailers': 'http.response.body' " +
				"must follow"}},
		{"a body behind", "trailers", []string{begins, hello, hello, ends}, "200:hello|X-Sum=1",
			[]string{"", "", "RuntimeError: send(): unexpected 'http.response.body': 'http.response.trailers' " +
				"must follow"}},
		{"twice", "trailers", []string{begins, hello, ends, ends}, "200:hello|X-Sum=1",
			[]string{"", "", "", "RuntimeError: send(): unexpected 'http.response.trailers': the response " +
				"is complete"}},

		{"a line end", "trailers", []string{begins, hello, trailers(`[(b"x-a", b"b\r\nx-c: d")]`), ends},
			"200:hello|X-Sum=1", []string{"", "", "ValueError: header b'x-a': value"}},
		{"no token", "trailers", []string{begins, hello, trailers(`[(b"x a", b"b")]`), ends}, "200:hello|X-Sum=1",
			[]string{"", "", "ValueError: header name b'x a' is not a token"}},
		{"a pseudo field", "trailers", []string{begins, hello, trailers(`[(b":status", b"200")]`), ends},
			"200:hello|X-Sum=1", []string{"", "", "ValueError: header name b':status' is not a token"}},
		{"framing", "trailers", []string{begins, hello,
			trailers(`[(b"X-Kept", b"no"), (b"Transfer-Encoding", b"chunked")]`), ends}, "200:hello|X-Sum=1",
			[]string{"", "", "ValueError: header b'Transfer-Encoding' must not be a trailer field"}},
		{"a cookie", "trailers", []string{begins, hello, trailers(`[(b"set-cookie", b"a=b")]`), ends},
			"200:hello|X-Sum=1", []string{"", "", "ValueError: header b'set-cookie' must not be a trailer field"}},
		{"too many", "trailers", []string{begins, hello, trailers(`[(b"x-a", b"b")] * 101`), ends}, "200:hello|X-Sum=1",
			[]string{"", "", "ValueError: send(): more than 100 trailer fields"}},
		{"too large", "trailers", []string{begins, hello, trailers(`[(b"x-a", b"b" * 16384)]`), ends},
			"200:hello|X-Sum=1", []string{"", "", "ValueError: send(): more than 100 trailer fields or 16384 bytes"}},
		{"no list", "trailers", []string{begins, hello, trailers(`7`), ends}, "200:hello|X-Sum=1",
			[]string{"", "", "TypeError: send(): 'headers' must be"}},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/events.py:app", Complains: true}.Serve(t, m)
		for te, want := range map[string]string{"trailers": "http.response.pathsend http.response.trailers",
			"gzip": "http.response.pathsend"} {
			s.Get("/extensions", 200, "TE: "+te).Is(t, want)
		}
		s.Ask("GET /extensions HTTP/1.0\r\nTE: trailers\r\n\r\n").Is(t, "http.response.pathsend")
		for i, test := range tests {
			w := s.Dial()
			w.Send(fapwstest.Request("POST", fmt.Sprint("/", i), "["+strings.Join(test.messages, ", ")+"]",
				"TE: "+test.te))
			a := w.Answer()
			got := fmt.Sprintf("%d:%s|%s", a.StatusCode, a.Text, listed(a.Trailer))
			if a.Err != nil {
				got = fmt.Sprintf("%d, broken:%s", a.StatusCode, a.Text)
			}
			if got != test.want {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
			if a.Err != nil {
				s.Says("the application returned without 'http.response.trailers', which " +
					"'http.response.start' announced")
				continue
			}
			w.Send(fapwstest.Get(fmt.Sprint("/outcome/", i)))
			saidOf(t, test.name, w.Answer(), len(test.messages), test.said)
			w.Close()
		}
		w := s.Dial()
		for _, method := range []string{"HEAD", "POST"} {
			w.Send(fapwstest.Request(method, "/next", "["+strings.Join([]string{begins, hello, ends}, ", ")+"]",
				"TE: trailers"))
			if a := w.AnswerTo(method); a.StatusCode != 200 || a.Err != nil ||
				(listed(a.Trailer) == "X-Sum=1") != (method == "POST") {
				t.Errorf("%s: %d %q %v", method, a.StatusCode, a.Trailer, a.Err)
			}
		}
	})
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
