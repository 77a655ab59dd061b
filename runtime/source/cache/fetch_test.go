package cache

import (
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1"
)

type server struct {
	conns       conn.Set
	invalidated []Pattern
}

func (s *server) Flush()                {}
func (s *server) Invalidated(p Pattern) { s.invalidated = append(s.invalidated, p) }

type origin struct {
	exchange.Memory
	asked []*exchange.Exchange
	gone  int
}

func (o *origin) Start(x *exchange.Exchange) {
	x.Source = o
	o.asked = append(o.asked, x)
	x.By = "application"
}
func (o *origin) OnGone(*exchange.Exchange) { o.gone++ }

type rig struct {
	t      *testing.T
	server *server
	pages  *Pages
	origin *origin
	source *Source
}

func newRig(t *testing.T) *rig {
	t.Helper()
	limits := http1.DefaultLimits
	r := &rig{t: t, server: &server{}, origin: &origin{}}
	r.server.conns.Init()
	r.pages = NewPages(New(1<<20, 0), r.server.Flush, r.server.Invalidated, &r.server.conns, &limits)
	r.source = r.pages.Source(compile(t, Rule{}), r.origin)
	return r
}

func (r *rig) ask(request string) (*exchangetest.Client, *exchange.Exchange) {
	c := &exchangetest.Client{}
	x := c.Exchange(request+" HTTP/1.1\r\nHost: a\r\n\r\n", "")
	x.Source = r.source
	r.source.Start(x)
	return c, x
}

func (r *rig) answer(i int, fields string, parts ...string) {
	for k, body := range parts {
		p := exchange.Part{First: k == 0, End: exchangetest.CompleteIf(k == len(parts)-1), Body: []byte(body)}
		if p.First {
			p.Head = exchange.Head{Status: 200, Length: -1, Fields: []byte(fields)}
		}
		r.origin.asked[i].Sink.Send(&p)
	}
	r.server.conns.Resume()
}

func (r *rig) want(c *exchangetest.Client, x *exchange.Exchange, body, status string) {
	r.t.Helper()
	var got strings.Builder
	for _, p := range c.Parts {
		got.Write(p.Body)
	}
	for _, p := range c.Replies {
		got.WriteString(http1.StatusText(p.Status))
	}
	checktest.Truef(r.t, got.String() == body && (status == "" || string(x.Fields) == "Fapws-Cache: "+status+"\r\n"),
		"got %q, %q, want %q, %q", got.String(), x.Fields, body, status)
}

const kept = "Cache-Control: max-age=60\r\n"

func TestClientThatDisconnectsEndsTheFetch(t *testing.T) {
	r := newRig(t)
	_, ax := r.ask("GET /a")
	ax.Source.OnGone(ax)
	checktest.Equalf(t, r.origin.gone, 1, "times that the origin is told")
	r.origin.asked[0].Sink.Send(&exchange.Part{End: exchange.Complete})

	_, ax = r.ask("GET /b")
	b, bx := r.ask("GET /b")
	ax.Source.OnGone(ax)
	checktest.Equalf(t, r.origin.gone, 1, "the origin is told, though another client waits")
	r.answer(1, kept, "page")
	r.want(b, bx, "page", "hit")

	_, ax = r.ask("GET /c")
	_, bx = r.ask("GET /c")
	ax.Source.OnGone(ax)
	bx.Source.OnGone(bx)
	checktest.Truef(t, r.origin.gone == 2 && len(r.pages.Store.fills) == 0, "the origin is told %d times", r.origin.gone)
}

func TestTimeoutOfTheOriginAppliesToAllWaiters(t *testing.T) {
	r := newRig(t)
	a, ax := r.ask("GET /a")
	b, bx := r.ask("GET /a")
	r.origin.asked[0].Sink.Reply(exchange.Reply{Status: 504})
	r.server.conns.Resume()
	r.want(a, ax, "Gateway Timeout", "")
	r.want(b, bx, "Gateway Timeout", "")
	checktest.Equalf(t, len(r.origin.asked), 1, "requests to the origin")
}

// On a device without a battery for its clock, the clock may be set after the server has started.
func TestClockThatIsSetDoesNotExtendExpires(t *testing.T) {
	r := newRig(t)
	r.server.conns.Start = time.Unix(0, 0)
	_, _ = r.ask("GET /a")
	r.answer(0, "Expires: "+time.Now().Add(time.Minute).UTC().Format(http1.DateFormat)+"\r\n", "page")
	b, bx := r.ask("GET /a")
	r.want(b, bx, "page", "hit")
	r.server.conns.Now += 61 * second
	r.ask("GET /a")
	checktest.Equalf(t, len(r.origin.asked), 2, "the page is kept for longer than a minute")
}

// The event loop answers some waiting clients in each turn, and serves other clients between the turns.
func TestManyWaitersAreAnsweredInTurns(t *testing.T) {
	r := newRig(t)
	loop := checktest.Try(eventloop.New()).Must(t)
	t.Cleanup(func() { loop.Close() })
	r.server.conns.Events = loop
	r.ask("GET /a")
	var all []*exchangetest.Client
	var exchanges []*exchange.Exchange
	came := checktest.ProcessorTime(t, func() {
		for range 50_000 {
			c, x := r.ask("GET /a")
			all, exchanges = append(all, c), append(exchanges, x)
		}
	})
	const stay = 150
	left := checktest.ProcessorTime(t, func() {
		for _, x := range exchanges[stay:] {
			x.Source.OnGone(x)
		}
	})
	checktest.Truef(t, left <= came, "the clients came in %v and left in %v", came, left)
	answered := func(want int) {
		t.Helper()
		n := 0
		for _, c := range all[:stay] {
			if len(c.Parts) > 0 {
				n++
			}
		}
		checktest.Equalf(t, n, want, "clients are answered")
	}
	r.answer(0, kept, "page")
	answered(maxReleased)
	loop.Stop()
	checktest.Must(t, loop.Run())
	r.server.conns.Resume()
	answered(stay)
}

func TestRequestsDoNotWaitForAPageThatIsSentForTooLong(t *testing.T) {
	r := newRig(t)
	r.ask("GET /a")
	r.ask("GET /a")
	r.origin.asked[0].Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1,
		Fields: []byte(kept)}})
	r.server.conns.Now += beginWait + second
	r.pages.Tick()
	r.server.conns.Resume()
	checktest.Equalf(t, len(r.origin.asked), 2, "requests to the origin")
}
