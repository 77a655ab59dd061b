package exchange_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

const lastRequest = "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"

type upgrading struct{ exchangetest.Host }

func (h *upgrading) Start(x *exchange.Exchange) {
	x.Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 426, Length: -1}})
}

func TestResponse426NamesAProtocol(t *testing.T) {
	h := new(upgrading)
	h.Run(t, h, exchange.Config{})
	got := string(checktest.Try(io.ReadAll(h.Connect(t, lastRequest))).Must(t))
	checktest.Truef(t, strings.Contains(got, "\r\nUpgrade: websocket\r\n") &&
		strings.Contains(got, "\r\nConnection: Upgrade\r\n"), "%q", got)
}

// Other clients get the override only from mounts of an application.
func TestOverrideAnswersBrowsers(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{})
	h.Do(func() {
		h.Override(&exchange.Override{Status: 503, Text: []byte("a text"), Page: []byte("a page")})
	})
	for kind, want := range map[string]string{"text/plain": "200 OK\r\n, text", "text/html": "503 Service Unavailable\r\n, a page"} {
		request := strings.Replace(lastRequest, "Host:", "Host:\r\nAccept: "+kind, 1)
		got := string(checktest.Try(io.ReadAll(h.Connect(t, request))).Must(t))
		head, body, _ := strings.Cut(want, ", ")
		checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 "+head) && strings.HasSuffix(got, body), "%s: %q", kind, got)
	}
}

func TestCutExchangeEndsWithoutAResponse(t *testing.T) {
	h := new(holding)
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, lastRequest)
	h.Do(func() {
		h.Held[0].Cut()
		checktest.Equalf(t, h.Gone, 1, "exchanges without a client")
	})
	got := checktest.Try(io.ReadAll(client)).Must(t)
	checktest.Truef(t, len(got) == 0, "%q", got)
}

func TestPanicInOffloadedWorkOfASubrequestIsAnsweredWith500(t *testing.T) {
	loop := looptest.New(t)
	c := &exchangetest.Client{Loop: loop}
	looptest.Run(t, loop, func() {})
	x := c.Exchange("GET / HTTP/1.1\r\nHost:\r\n\r\n", "")
	looptest.Do(loop, func() {
		x.Offload(func() { panic("oops") }, func(bool) { t.Error("the work is done") })
	})
	checktest.Eventually(t, "the reply", func() (ok bool) {
		looptest.Do(loop, func() { ok = len(c.Replies) == 1 && c.Replies[0].Status == 500 })
		return ok
	})
}

func TestFieldsThatATrustedProxyMustNotSendAreLoggedOnce(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{ProxyUnix: true})
	var lines []string
	h.Do(func() {
		h.Config.LogClient = func(_ logfile.Level, _, line string) { lines = append(lines, line) }
	})
	for range 2 {
		request := strings.Replace(lastRequest, "Host:", "Host:\r\nForwarded: for=\"oops", 1)
		checktest.Try(io.ReadAll(h.Connect(t, request))).Must(t)
	}
	h.Do(func() {
		checktest.Truef(t, len(lines) == 1 && strings.HasPrefix(lines[0], "ignored the field Forwarded"), "%q", lines)
	})
}

// The pages of the server have a style sheet, which the policy of a site would forbid.
func TestPageOfAnErrorKeepsItsPolicy(t *testing.T) {
	const policy = "default-src 'none'"
	rules := checktest.Try(exchange.NewRules(exchange.Rules{Set: []http1.HeaderField{{Name: "Content-Security-Policy",
		Value: policy}}})).Must(t)
	for _, page := range []bool{false, true} {
		h := new(refusing)
		h.Run(t, h, exchange.Config{})
		use(t, &h.Host, exchange.Site{Rules: rules, Table: []exchange.Mount{{Prefix: "/", Source: h}}})
		accept := ""
		if page {
			accept = "Accept: text/html\r\n"
		}
		client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n"+accept+"\r\n")
		r := checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
		checktest.Equalf(t, r.Header.Get("Content-Security-Policy") == policy, !page, "a page: %v", page)
	}
}

type refusing struct{ exchangetest.Host }

func (h *refusing) Start(x *exchange.Exchange) { x.Sink.Reply(exchange.Reply{Status: 403}) }
