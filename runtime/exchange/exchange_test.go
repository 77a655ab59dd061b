package exchange_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type answering struct{ exchangetest.Host }

func (h *answering) Start(x *exchange.Exchange) { exchangetest.Answer(x, "text") }

// A mark is a filter that adds its letter before and after each body.
type mark struct {
	letter string
	next   exchange.Sink
}

func (m *mark) Send(p *exchange.Part) {
	own := *p
	own.Body = []byte(m.letter + string(p.Body) + m.letter)
	m.next.Send(&own)
}

func (m *mark) Reply(r exchange.Reply) { m.next.Reply(r) }

func TestFirstFilterIsNextToTheClient(t *testing.T) {
	h := new(answering)
	filter := func(letter string) exchange.Filter {
		return func(x *exchange.Exchange, next exchange.Sink) exchange.Sink {
			if strings.HasSuffix(exchangetest.Path(x.Req), "plain") {
				return next
			}
			return &mark{letter, next}
		}
	}
	h.Filters = []exchange.Filter{filter("a"), filter("b")}
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET /plain HTTP/1.1\r\nHost:\r\n\r\n"+
		"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(client)
	parts := strings.Split(string(got), "\r\n\r\n")
	checktest.Truef(t, err == nil && len(parts) == 3 && strings.HasPrefix(parts[1], "text") && parts[2] == "abtextba",
		"%v; %q", err, got)
}

func TestMalformedRequestIsLoggedWithItsTimeAndItsNumber(t *testing.T) {
	h := new(answering)
	began := time.Now()
	var lines []string
	h.Run(t, h, exchange.Config{Answered: []func(*logfile.Entry){func(e *logfile.Entry) {
		lines = append(lines, string(e.RequestLine))
		checktest.Truef(t, !e.Time.Before(began) && e.Duration >= 0 && e.Duration <= time.Since(began) &&
			e.Earlier == len(lines)-1, "%s at %v, %v, after %d requests", e.RequestLine, e.Time, e.Duration, e.Earlier)
	}}})
	_, err := io.ReadAll(h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\nnonsense\r\n\r\n"))
	checktest.Equal(t, err, nil)
	h.Do(func() {
		checktest.Equal(t, strings.Join(lines, ", "), "GET / HTTP/1.1, nonsense")
	})
}

type holding struct{ exchangetest.Host }

func (h *holding) Start(x *exchange.Exchange) { h.Held = append(h.Held, x) }

// The configuration has changed, but the error page is still a file of the previous sites.
func TestSitesStayUntilTheResponseThatTakesOverIsSent(t *testing.T) {
	for _, replaced := range []*exchange.Part{nil, {First: true, End: exchange.Complete}} {
		h := new(holding)
		pages := 0
		h.Pages = func(x *exchange.Exchange, r exchange.Reply) {
			pages++
			checktest.Truef(t, h.HasFormer(), "the former sites end with the request")
			x.SendReply(&r)
		}
		h.Run(t, h, exchange.Config{})
		client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
		h.Stream(t)
		h.Do(func() {
			h.Held[0].FailWith(exchange.Reply{Status: 503}, replaced)
			checktest.Truef(t, !h.HasFormer() && pages == 1,
				"%d pages; former sites after the response: %v", pages, h.HasFormer())
		})
		_, err := io.ReadAll(client)
		checktest.Equal(t, err, nil)
	}
}

// A handshaking Carrier waits for the response to its handshake.
type handshaking struct{ refused int }

func (*handshaking) Begun() bool                           { return false }
func (c *handshaking) Refused()                            { c.refused++ }
func (*handshaking) Carried() (in, out int64, proper bool) { return 0, 0, false }

// A source may send the rest of its response much later.
func TestHandshakeIsRefusedAtTheHeadOfAnOrdinaryResponse(t *testing.T) {
	h, c := new(holding), new(handshaking)
	h.Run(t, h, exchange.Config{})
	h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	h.Do(func() {
		x := h.Held[0]
		x.SetCarrier(c)
		x.Sink.Send(&exchange.Part{Interim: true, Head: exchange.Head{Status: 103}})
		checktest.Equalf(t, c.refused, 0, "refusals by an interim response")
		x.Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1}})
		checktest.Equalf(t, c.refused, 1, "refusals by the head")
	})
}

// The response is long, so the client that does not read it has gone before its end was sent.
func TestResponseThatItsClientDidNotReadToTheEndIsLoggedAsAborted(t *testing.T) {
	h := new(holding)
	var aborted []bool
	h.Run(t, h, exchange.Config{Answered: []func(*logfile.Entry){func(e *logfile.Entry) {
		aborted = append(aborted, e.Aborted)
	}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	h.Do(func() {
		h.Held[0].Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: -1},
			Body: make([]byte, 8<<20)})
		checktest.Truef(t, h.Set.Unsent.Total() > 0 && len(aborted) == 0, "%d bytes wait, %v", h.Set.Unsent.Total(), aborted)
	})
	client.Close()
	checktest.Eventually(t, "the response is logged", func() (ok bool) {
		h.Do(func() { ok = len(aborted) == 1 })
		return ok
	})
	h.Do(func() {
		checktest.Truef(t, aborted[0] && h.Set.Unsent.Total() == 0, "aborted: %v; %d bytes still wait", aborted,
			h.Set.Unsent.Total())
	})
}

func TestKeptRequestIsValidAfterItsHandlerHasStarted(t *testing.T) {
	h := new(keeping)
	h.Run(t, h, exchange.Config{})
	h.Connect(t, "GET /kept HTTP/1.1\r\nHost:\r\n\r\nGET /other HTTP/1.1\r\nHost:\r\n\r\n")
	h.Do(func() {
		kept, other := h.Held[0].Req, h.Held[1].Req
		checktest.Truef(t, kept != nil && exchangetest.Path(kept) == "/kept" && other == nil, "%+v; %+v", kept, other)
	})
}

// A keeping source keeps the first request.
type keeping struct{ holding }

func (h *keeping) Start(x *exchange.Exchange) {
	if h.holding.Start(x); len(h.Held) == 1 {
		x.Keep()
	}
}

// use makes h answer the requests for site.
func use(t *testing.T, h *exchangetest.Host, site exchange.Site) {
	t.Helper()
	h.Do(func() {
		h.Use(checktest.Try(h.Prepare([]exchange.Site{site}, nil, nil)).Must(t))
	})
}

// Sources other than handlers, such as redirects, get no bodies.
func TestBodyThatNoSourceGetsIsNotParsedAsARequest(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h}}})
	client := h.Connect(t, "POST / HTTP/1.1\r\nHost:\r\nContent-Length: 9\r\n\r\nno method"+
		"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	got := string(checktest.Try(io.ReadAll(client)).Must(t))
	checktest.Truef(t, strings.Count(got, "HTTP/1.1 200 OK") == 2, "%q", got)
}

// An including source gets its response from another source, which waits until earlier responses are sent.
type including struct {
	holding
	part   exchange.Exchange
	stream exchange.Sub
}

func (h *including) Start(x *exchange.Exchange) {
	switch {
	case h.stream.Parent != nil:
		h.part.TakeTurn()
	case exchangetest.Path(x.Req) == "/held":
		h.holding.Start(x)
	default:
		h.stream.Parent = x
		h.part = x.Sub(x.Req, new(answering), x.Sink, &h.stream)
		h.part.AwaitTurn(false)
	}
}

func TestIncludedResponseIsSentAfterEarlierResponses(t *testing.T) {
	h := new(including)
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET /held HTTP/1.1\r\nHost:\r\n\r\nGET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	h.Do(func() { exchangetest.Answer(h.Held[0], "first") })
	got := string(checktest.Try(io.ReadAll(client)).Must(t))
	checktest.Truef(t, strings.Contains(got, "first") && strings.HasSuffix(got, "text"), "%q", got)
}

// A declining source declines every path after it has added a field.
type declining struct{ exchange.Memory }

func (declining) Start(x *exchange.Exchange) {
	x.AddFields([]byte("X-Mount: source\r\n"))
	x.Decline("")
}
func (declining) Declines() bool { return true }

func TestPathWithoutAMountHasTheRulesOfItsSiteOnly(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{})
	rules := func(name string) *exchange.Rules {
		field := func(name string) []http1.HeaderField { return []http1.HeaderField{{Name: name, Value: "rule"}} }
		return checktest.Try(exchange.NewRules(exchange.Rules{Set: field(name), SetSecure: field("X-Secure")})).Must(t)
	}
	use(t, &h.Host, exchange.Site{Rules: rules("X-Site"), Table: []exchange.Mount{
		{Prefix: "/files", Source: declining{}, Rules: rules("X-Mount")}}})
	client := bufio.NewReader(h.Connect(t, "GET /other HTTP/1.1\r\nHost:\r\n\r\n"+
		"GET /files/none HTTP/1.1\r\nHost:\r\n\r\n"))
	for range 2 {
		r := checktest.Try(http.ReadResponse(client, nil)).Must(t)
		io.Copy(io.Discard, r.Body)
		checktest.Truef(t, r.StatusCode == 404 && r.Header.Get("X-Site") == "rule" && r.Header.Get("X-Mount") == "" &&
			r.Header.Get("X-Secure") == "", "%d %v", r.StatusCode, r.Header)
	}
}

type short struct{ exchangetest.Host }

func (h *short) Start(x *exchange.Exchange) {
	x.Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: 10},
		Body: []byte("text")})
}

func TestResponseShorterThanItsContentLengthIsLoggedAndBrokenOff(t *testing.T) {
	h := new(short)
	h.Run(t, h, exchange.Config{})
	logged := ""
	h.Do(func() { h.Config.LogClient = func(_ logfile.Level, _, line string) { logged += line } })
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	got, err := io.ReadAll(client)
	checktest.Truef(t, strings.HasSuffix(string(got), "\r\n\r\ntext") && !os.IsTimeout(err), "%q, %v", got, err)
	h.Do(func() {
		checktest.Equal(t, logged, "a response was 6 bytes shorter than its Content-Length")
	})
}

// A disk source does the work of its response on a goroutine.
type disk struct {
	exchangetest.Host
	working, release chan bool // the work has begun; the work may end
	done             func(x *exchange.Exchange, gone bool)
}

func (h *disk) Start(x *exchange.Exchange) {
	h.Held = append(h.Held, x)
	x.Offload(func() {
		h.working <- true
		<-h.release
	}, func(gone bool) { h.done(x, gone) })
}

// ask makes h the only source of its site, and returns a client whose request h is working on.
func (h *disk) ask(t *testing.T) io.Reader {
	h.working, h.release = make(chan bool), make(chan bool)
	h.Run(t, h, exchange.Config{})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	<-h.working
	return client
}

func (h *disk) disconnect() {
	h.Do(func() { h.Held[0].Conn().Close("the client has disconnected") })
}

func TestSourceIsToldOfADisconnectAfterItsOffloadedWork(t *testing.T) {
	h := new(disk)
	h.done = func(x *exchange.Exchange, gone bool) {
		checktest.Truef(t, !gone, "the client has disconnected early")
		x.Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1}})
	}
	client := h.ask(t)
	close(h.release)
	checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
	h.disconnect()
	checktest.Equal(t, h.Gone, 1)
}

func TestSourceIsToldOfADisconnectDuringItsOffloadedWork(t *testing.T) {
	h := new(disk)
	told := false
	h.done = func(_ *exchange.Exchange, gone bool) { told = gone }
	h.ask(t)
	h.disconnect()
	close(h.release)
	checktest.Eventually(t, "the source is told", func() (ok bool) {
		h.Do(func() { ok = told })
		return ok
	})
}

// The new sites log the request, but those at its arrival did not.
func TestRequestThatWaitedForTheApplicationIsLoggedWithTheTimeOfItsArrival(t *testing.T) {
	h := new(answering)
	waiting := make(chan bool, 1)
	h.Run(t, h, exchange.Config{StartWait: time.Hour, Needed: func() { waiting <- true }})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Pending: true}}})
	began := time.Now()
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	<-waiting
	known := time.Now()
	var arrived time.Time
	h.Do(func() {
		h.Config.Answered = []func(*logfile.Entry){func(e *logfile.Entry) { arrived = e.Time }}
	})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h}}})
	checktest.Try(io.ReadAll(client)).Must(t)
	h.Do(func() {
		checktest.Truef(t, !arrived.Before(began) && !arrived.After(known), "%v is not between %v and %v", arrived, began,
			known)
	})
}

// The page reloads itself, so neither the page nor the reloads belong in the access log.
func TestBrowserGetsAPageAfterASecondWhileTheApplicationLoads(t *testing.T) {
	h := new(answering)
	lines := 0
	h.Run(t, h, exchange.Config{StartWait: time.Hour, Answered: []func(*logfile.Entry){func(*logfile.Entry) { lines++ }}})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Pending: true}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	h.Do(func() {
		h.Set.Now += int64(time.Second)
		h.Tick()
	})
	got := checktest.Try(io.ReadAll(client)).Must(t)
	h.Do(func() {
		checktest.Truef(t, strings.Contains(string(got), "<progress") && lines == 0, "%d lines; %s", lines, got)
	})
}

// A renewing Access renews the session cookie of each request.
type renewing struct{ exchange.Access }

func (renewing) By() exchange.Login { return exchange.Form }

func (renewing) Admit(x *exchange.Exchange) (*exchange.Reply, exchange.Check) {
	x.LogIn("ann", exchange.Form)
	x.SetCookie("session=new")
	return nil, nil
}

func TestRenewedSessionCookieIsAddedToTheResponse(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h, Access: renewing{}}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	r := checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
	checktest.Equal(t, r.Header.Get("Set-Cookie"), "session=new")
}

// An attaching source sends a file after a text.
type attaching struct {
	exchangetest.Host
	file exchange.File
}

func (h *attaching) Start(x *exchange.Exchange) {
	x.Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: -1},
		Body: []byte("text, "), File: &h.file})
}

func TestContentLengthOfAWholeResponseIncludesItsFile(t *testing.T) {
	f := checktest.Try(os.Create(t.TempDir() + "/file")).Must(t)
	defer f.Close()
	f.WriteString("the file")
	h := &attaching{file: exchange.File{FD: int(f.Fd()), Count: int64(len("the file"))}}
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	r := checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
	body := checktest.Try(io.ReadAll(r.Body)).Must(t)
	checktest.Truef(t, r.ContentLength == int64(len(body)) && string(body) == "text, the file", "%d bytes: %q",
		r.ContentLength, body)
}

func TestFileThatIsShorterThanAnnouncedIsLogged(t *testing.T) {
	f := checktest.Try(os.Create(t.TempDir() + "/file")).Must(t)
	defer f.Close()
	f.WriteString("the file")
	h := &attaching{file: exchange.File{FD: int(f.Fd()), Count: 100}}
	h.Run(t, h, exchange.Config{})
	logged := ""
	h.Do(func() { h.Config.LogClient = func(_ logfile.Level, _, line string) { logged += line } })
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	got := checktest.Try(io.ReadAll(client)).Must(t)
	checktest.Truef(t, strings.HasSuffix(string(got), "text, the file"), "%q", got)
	h.Do(func() { checktest.Truef(t, strings.HasPrefix(logged, "response aborted: "), "%q", logged) })
}

func TestClientOfATrustedProxyIsLogged(t *testing.T) {
	h := new(answering)
	line := ""
	h.Run(t, h, exchange.Config{ProxyUnix: true, Answered: []func(*logfile.Entry){func(e *logfile.Entry) {
		line = e.Addr + " " + e.Port + " " + e.Scheme
	}}})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n"+
		"Forwarded: for=\"192.0.2.7:4711\";proto=https\r\n\r\n")
	checktest.Try(io.ReadAll(client)).Must(t)
	h.Do(func() { checktest.Equal(t, line, "192.0.2.7 4711 https") })
}

// The login check of a request resumes its exchange a second time, while the body of the request arrives.
func TestWrongStepOfAnExchangeClosesOnlyItsOwnConnection(t *testing.T) {
	const others = 50
	h, a := new(holding), new(checking)
	h.Run(t, h, exchange.Config{})
	table := checktest.Try(h.Prepare([]exchange.Site{{Table: []exchange.Mount{
		{Prefix: "/checked", Handler: handler{}, Access: a}, {Prefix: "/", Handler: handler{}},
	}}}, nil, func(*exchange.Mount) (exchange.Source, bool) { return h, false })).Must(t)
	bugs := 0
	h.Do(func() {
		h.Use(table)
		h.Set.Log = func(_ logfile.Level, format string, _ ...any) {
			if strings.HasPrefix(format, "bug:") {
				bugs++
			}
		}
	})
	var clients []io.Reader
	for range others {
		clients = append(clients, h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"))
	}
	own := h.Connect(t, "POST /checked HTTP/1.1\r\nHost:\r\nContent-Length: 9\r\n\r\ntext")
	h.Do(func() {})
	h.Do(a.resume)
	h.Do(func() { a.x.Resume() })
	got, err := io.ReadAll(own)
	checktest.Truef(t, len(got) == 0 && !os.IsTimeout(err), "the connection is open: %q, %v", got, err)
	h.Do(func() { checktest.Truef(t, bugs == 1, "%d bugs are logged", bugs) })
	h.Do(func() {
		checktest.Equalf(t, len(h.Held), others, "requests")
		for _, x := range h.Held {
			exchangetest.Answer(x, "text")
		}
	})
	for _, client := range clients {
		got := string(checktest.Try(io.ReadAll(client)).Must(t))
		checktest.Truef(t, strings.HasSuffix(got, "text"), "%q", got)
	}
}

// handler is the Handler of a mount that accepts request bodies.
type handler struct{ exchange.Handler }
