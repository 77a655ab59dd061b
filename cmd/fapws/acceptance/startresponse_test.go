package acceptance

import (
	"strings"
	"testing"
)

// exc_info replaces a head that was not sent, raises once it was, and nothing
// of the exception is kept.
func TestExcInfo(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := command{script: "startresponse.py", complains: true}.serve(t, m)
		freed := func() {
			t.Helper()
			s.get("/marker", 200).is(t, "True")
		}

		s.get("/replaced", 500).want(t, 500, "sorry").field(t, "X-First", "").field(t, "Content-Length", "5")
		freed()
		s.get("/first", 503).want(t, 503, "sorry")
		freed()
		if a := s.ask(get("/late")); a.StatusCode != 200 || a.err == nil || a.body != "begun" {
			t.Errorf("late: %d, %q, %v", a.StatusCode, a.body, a.err)
		}
		s.says(`in late\n(.*\n)*.*in fails\n(.*\n)*ValueError: the error\n`) // the original traceback
		freed()
		s.get("/caught", 200).is(t, "begun raised the error").field(t, "X-Late", "")
		freed()
		for _, junk := range []string{"tuple", "short", "true", "nothing", "traceback"} {
			s.get("/junk/"+junk, 200).want(t, 200, "begun exc_info must be a tuple (type, value, traceback)")
		}
	})
}

// Once, before the first byte, or not at all; what fails leaves nothing.
func TestStartResponseCalls(t *testing.T) {
	cases := []struct {
		path   string
		status int
		body   string
	}{
		{"/twice/caught", 201, "first"},
		{"/at-first-chunk", 202, "body"},
		{"/after-first-chunk", 200, "begun start_response() must be called before the first byte of the body is given"},
		{"/never", 200, "no call"},
		{"/half", 500, "error page"},
		{"/half/status", 500, "error page"},
	}
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := command{script: "startresponse.py", complains: true}.serve(t, m)
		for _, c := range cases {
			a := s.get(c.path, c.status)
			if a.body != c.body || a.Header.Get("X-Second") != "" || a.Header.Get("X-Lost") != "" || a.Close {
				t.Errorf("%s: %q with %q", c.path, a.body, a.Header)
			}
		}
		s.get("/half", 500).field(t, "Content-Type", "text/plain").field(t, "X-Kept", "1")
		if strings.Contains(s.stderr.String(), "Traceback") {
			t.Errorf("errors that the application has dealt with are reported")
		}
		for path, report := range map[string]string{
			"/twice":         `AssertionError: start_response\(\) was already called`,
			"/twice/none":    `AssertionError: start_response\(\) was already called`,
			"/nothing-given": `TypeError: .*start_response`,
		} {
			s.get(path, 500)
			s.says(report)
		}
	})
}

// What is no head is the handler's error, and the report says what is wrong.
func TestHeadTypes(t *testing.T) {
	headers := map[string]string{
		"bytes-name":  `TypeError: header name must be str, not bytes`,
		"bytes-value": `TypeError: header value must be str, not bytes`,
		"int-value":   `TypeError: header value must be str, not int`,
		"none-value":  `TypeError: header value must be str, not NoneType`,
		"euro":        `ValueError: header value '\x{20ac}' has a character that latin-1 does not have`,
		"euro-name":   `ValueError: header name 'X-\x{20ac}' has a character`,
		"empty-name":  `ValueError: header name '' is not a token`,
		"space-name":  `ValueError: header name 'X A' is not a token`,
		"colon-name":  `ValueError: header name 'X-A:' is not a token`,
		"latin-name":  `ValueError: header name 'X-\x{e9}' is not a token`,
		"triple":      `TypeError: headers\[0\] must be a tuple \(name, value\), not \('X-A', '1', '2'\)`,
		"single":      `TypeError: headers\[0\] must be a tuple \(name, value\), not \('X-A',\)`,
		"text":        `TypeError: headers\[0\] must be a tuple \(name, value\), not 'X-A: 1'`,
		"dict":        `TypeError: headers\[0\] must be a tuple \(name, value\), not 'X-A'`,
		"none":        `TypeError: headers must be a list of \(name, value\) tuples`,
		"number":      `TypeError: headers must be a list of \(name, value\) tuples`,

		"negative-length": `ValueError: Content-Length '-1' is not a number of bytes`,
		"word-length":     `ValueError: Content-Length 'ten' is not a number of bytes`,
		"two-lengths":     `ValueError: there are two Content-Lengths, 1 and 2`,
	}
	status := map[string]string{
		"bytes": `TypeError: status must be str, not bytes`, "none": `TypeError: status must be str, not NoneType`,
		"no-space": `ValueError: status '200OK' is not like '200 OK'`, "two-digits": `ValueError: status '20 OK' is not`,
		"letters": `ValueError: status 'OK' is not`, "euro": `ValueError: status '200 \x{20ac}' has a character`,
		"float": `TypeError: status must be str, not float`,
	}
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := command{script: "startresponse.py", complains: true}.serve(t, m)
		w := s.dial()
		for query, report := range headers {
			w.get("/headers?" + query)
			w.answer().want(t, 500)
			s.says(report)
		}
		for query, report := range status {
			w.get("/status?" + query)
			w.answer().want(t, 500)
			s.says(report)
		}
		for query, reason := range map[string]string{
			"number": "Accepted", "bare": "Accepted", "space": "Accepted", "latin": "\xe9t\xe9",
			"long": strings.Repeat("x", 300), "colon": "A: b", "subclass": "Text",
		} {
			w.get("/good?" + query)
			a := w.answer().want(t, 202, "body").field(t, "Content-Type", "text/plain").field(t, "X-List", "ok").field(t, "X-Latin", "\xe9")
			if a.Status != "202 "+reason {
				t.Errorf("%s: status %q", query, a.Status)
			}
		}
	})
}

// Fields between the server and its client are the server's (PEP 3333, "Other
// HTTP Features"): those of an application are left out.
func TestHopByHopFields(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := serve(t, m, "startresponse.py")
		w := s.dial()
		for _, field := range []string{
			"Connection=x-kept", "Keep-Alive=timeout%3d1", "Proxy-Authenticate=Basic", "Proxy-Authorization=x", "Proxy-Connection=close",
			"TE=trailers", "Trailers=X-A", "Trailer=X-A", "Transfer-Encoding=gzip", "Upgrade=websocket",
		} {
			w.get("/hops?" + field)
			name, _, _ := strings.Cut(field, "=")
			a := w.answer().is(t, "body").field(t, name, "").field(t, "X-Kept", "1").field(t, "Content-Length", "4")
			if len(a.TransferEncoding) > 0 || a.Close || a.ProtoMinor != 1 || len(a.Trailer) > 0 {
				t.Errorf("%s: %q", field, a.Header)
			}
		}
	})
}
