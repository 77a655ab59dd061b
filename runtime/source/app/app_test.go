package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type server struct {
	set               conn.Set
	flushed, occupied int
	logged            []string
	posted            []func()
}

func (s *server) Flush()             { s.flushed++ }
func (s *server) Occupied(n int)     { s.occupied += n }
func (s *server) Recover()           {}
func (s *server) AfterPoll(f func()) { s.posted = append(s.posted, f) }

func (s *server) turn() {
	posted := s.posted
	s.posted = nil
	for _, f := range posted {
		f()
	}
}

func (s *server) after(d int64) { s.set.SetTime(s.set.Start.Add(time.Duration(s.set.Now + d))) }

func (s *server) Take(x *exchange.Exchange, p *exchange.Part, r *exchange.Request, name []byte) {
	x.Source = exchange.Memory{}
	x.Sink.Send(&exchange.Part{First: true, End: exchange.Complete,
		Body: []byte("file " + string(name) + " for " + string(r.Parsed.Host.In(r.Head))),
		Head: exchange.Head{Status: 200, Fields: p.Head.Fields}})
}

type handler struct {
	inputs, told []string
	parts        []exchange.Part
	released     []string
}

func (h *handler) Attach(*eventloop.Waker)                        {}
func (h *handler) Submit(exchange.Ticket, *exchange.Request) bool { return true }
func (h *handler) Flush()                                         {}
func (h *handler) Release(p *exchange.Part)                       { h.released = append(h.released, string(p.Body)) }
func (h *handler) Resume(exchange.Ticket)                         { h.told = append(h.told, "resume") }
func (h *handler) Signalled()                                     {}
func (h *handler) Held() bool                                     { return false }
func (h *handler) Attend(bool)                                    {}
func (h *handler) InTurn() bool                                   { return false }
func (h *handler) Cancel(_ exchange.Ticket, took time.Duration) {
	if took > 0 {
		h.told = append(h.told, "overdue")
	} else {
		h.told = append(h.told, "cancel")
	}
}
func (h *handler) Explain(exchange.Ticket, time.Duration) (text, details string) { return "", "" }
func (h *handler) Stalled() (exchange.Ticket, time.Duration)                     { return 0, 0 }
func (h *handler) Deliver(in exchange.Input)                                     { h.inputs = append(h.inputs, string(in.Data)) }
func (h *handler) Next(p *exchange.Part) (exchange.Ticket, bool) {
	if len(h.parts) == 0 {
		return 0, false
	}
	*p = h.parts[0]
	h.parts = h.parts[1:]
	return 0, true
}

const second = int64(time.Second)

type rig struct {
	*Dispatcher
	t      *testing.T
	server *server
	h      *handler
	client *exchangetest.Client
	x      *exchange.Exchange
}

func newRig(t *testing.T, o Options, c Config) *rig {
	r := &rig{t: t, server: &server{}, h: &handler{}, client: &exchangetest.Client{}}
	r.server.set.Init()
	r.server.set.Log = func(_ logfile.Level, format string, args ...any) {
		r.server.logged = append(r.server.logged, fmt.Sprintf(format, args...))
	}
	r.server.after(10 * second)
	limits := http1.DefaultLimits
	c.Limits, c.Take = &limits, r.server.Take
	r.Dispatcher = New(r.server, &r.server.set, nil, nil)
	r.Configure(c)
	r.Serve(r.h)
	r.x = r.client.Exchange("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "")
	r.x.Source = r.Source(r.h, o)
	return r
}

func (r *rig) run() {
	if r.Due {
		r.Flush()
	}
	r.Deliver()
}

func (r *rig) start() {
	r.x.Source.Start(r.x)
	r.run()
}

func (r *rig) make(parts ...exchange.Part) {
	r.h.parts = append(r.h.parts, parts...)
	r.run()
}

func (r *rig) got() string {
	var all []string
	for _, p := range r.client.Parts {
		s := string(p.Body)
		if p.First {
			s = "[" + s
		}
		if p.End == exchange.Complete {
			s += "]"
		} else if p.Last() {
			s += "/"
		}
		all = append(all, s)
	}
	for _, p := range r.client.Replies {
		all = append(all, http1.StatusText(p.Status)+p.Text+string(p.Body))
	}
	return strings.Join(all, " ")
}

func (r *rig) want(what, got, want string) {
	r.t.Helper()
	checktest.Equalf(r.t, got, want, "%s", what)
}

func (r *rig) told() string { return strings.Join(r.h.told, " ") }

var head = exchange.Head{Status: 200, Length: -1}

type keeping struct {
	exchangetest.Client
	kept []exchange.Part
}

func (k *keeping) Send(p *exchange.Part) { k.kept = append(k.kept, *p) }

func TestLastPartIsReleasedLast(t *testing.T) {
	r := newRig(t, Options{}, Config{})
	k := &keeping{}
	r.x.Sink = k
	r.start()
	r.make(exchange.Part{First: true, Head: head, Body: []byte("a")}, exchange.Part{End: exchange.Complete,
		Body: []byte("b")})
	k.kept[1].Owner.Release(&k.kept[1])
	r.want("released", strings.Join(r.h.released, " "), "")
	checktest.Truef(t, !r.Idle(), "the ticket is free")
	k.kept[0].Owner.Release(&k.kept[0])
	r.want("released", strings.Join(r.h.released, " "), "a b")
	checktest.Truef(t, r.Idle(), "the ticket is taken")
}

func TestHandlerThatIsOverdueGets504(t *testing.T) {
	for _, c := range []struct {
		name             string
		before           func(*rig)
		sent, told, late string
	}{
		{"nothing", func(*rig) {}, "Gateway Timeout", "overdue", ""},
		{"begun", func(r *rig) { r.make(exchange.Part{First: true, Head: head, Body: []byte("a")}) }, "[a /", "overdue", ""},
		{"gone", func(r *rig) { r.x.Source.OnGone(r.x) }, "/", "cancel overdue", ""},
		{"waits for its client", func(r *rig) { r.client.Waits, r.x.Out.Begun = true, true }, "", "", "[late]"},
		{"WebSocket", func(r *rig) {
			r.make(exchange.Part{First: true, Head: exchange.Head{Status: 101, Then: opens{}}})
		}, "[", "", "[ [late]"},
		{"deferred", func(r *rig) { r.make(exchange.Part{Op: exchange.OpDeferred}) }, "", "", "[late]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{Timeout: 5 * time.Second, Occupies: exchange.OccupiesUntilEnd}, Config{})
			r.start()
			c.before(r)
			for range 20 {
				r.server.after(second / 2)
				r.Tick()
			}
			r.want("sent", r.got(), c.sent)
			r.want("told", r.told(), c.told)
			checktest.Truef(t, c.told == "" && c.name != "WebSocket" || r.server.occupied == 0 && r.AwaitsPart() == 0,
				"%d occupy, %d are owed", r.server.occupied, r.AwaitsPart())
			r.make(exchange.Part{First: true, End: exchange.Complete, Head: head, Body: []byte("late")})
			if c.late == "" {
				c.late = c.sent
			}
			r.want("then sent", r.got(), c.late)
			checktest.Truef(t, r.Idle(), "its ticket is taken")
		})
	}
}

func TestTimeoutStartsAtTheTickAfterTheRequest(t *testing.T) {
	r := newRig(t, Options{Timeout: time.Duration(eventloop.Tick * 2)}, Config{})
	r.start()
	for range 3 {
		r.want("told", r.told(), "")
		r.server.after(eventloop.Tick)
		r.Tick()
	}
	r.want("told", r.told(), "overdue")
}

func TestTimeoutExcludesTimesWhenAHandlerBlocksTheLoop(t *testing.T) {
	r := newRig(t, Options{Timeout: time.Second}, Config{})
	r.start()
	r.server.after(60 * second)
	r.ExcludeBlockedTime(60 * second)
	r.Tick()
	r.want("told", r.told(), "")
}

func TestDeferredHandlerIsResumedUntilItsLastPart(t *testing.T) {
	r := newRig(t, Options{Timeout: time.Second}, Config{})
	r.start()
	r.make(exchange.Part{Op: exchange.OpDeferred})
	checktest.Truef(t, r.client.Delayed == 1 && r.AwaitsPart() == 0,
		"%d times deferred, %d owed", r.client.Delayed, r.AwaitsPart())
	r.x.Source.Start(r.x)
	r.x.Source.Start(r.x)
	r.want("told", r.told(), "resume")
	r.make(exchange.Part{Op: exchange.OpDeferred})
	r.x.Source.OnGone(r.x)
	r.want("told", r.told(), "resume resume cancel")
	r.make(exchange.Part{Op: exchange.OpDeferred})
	r.want("told", r.told(), "resume resume cancel resume")
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: head})
	checktest.Truef(t, r.Idle(), "its ticket is taken")
}

func TestInputReachesTheHandlerUntilItsLastPart(t *testing.T) {
	r := newRig(t, Options{}, Config{})
	r.start()
	in := r.x.Source
	in.Input(r.x, exchange.Input{Data: []byte("a")})
	r.make(exchange.Part{Op: exchange.OpCredit, Number: 65})
	checktest.Equalf(t, r.client.Credited, 65, "credit")
	r.x.Sink = &keeping{}
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: head})
	in.Input(r.x, exchange.Input{Data: []byte("b")})
	r.want("inputs", strings.Join(r.h.inputs, " "), "a")
}

func TestRejectionByAHandlerReplacesTheResponse(t *testing.T) {
	for _, c := range []struct {
		name       string
		part       exchange.Part
		sent, told string
	}{
		{"refusal", exchange.Part{End: exchange.Complete, Head: exchange.Head{Status: 502, Then: exchange.Refusal{},
			Reason: []byte("why")}}, "Bad Gatewaywhy", ""},
		{"refusal in the middle", exchange.Part{Head: exchange.Head{Status: 502, Then: exchange.Refusal{}}},
			"Bad Gateway", "cancel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{}, Config{})
			r.start()
			c.part.First = true
			r.make(c.part)
			if !c.part.Last() {
				r.make(exchange.Part{End: exchange.Complete, Body: []byte("late")})
			}
			r.want("sent", r.got(), c.sent)
			r.want("told", r.told(), c.told)
			checktest.Truef(t, r.Idle(), "its ticket is taken")
		})
	}
}

type opens struct{}

func (opens) Continue(*exchange.Exchange, *exchange.Part) exchange.ThenOutcome {
	return exchange.Opened
}

// sendsFile is an exchange.Then that sends the file "a".
type sendsFile struct{ d *Dispatcher }

func (f sendsFile) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	return f.d.SendFiles(x, p, &exchange.Request{Head: []byte("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")}, []byte("a"))
}

type sendsNonsense struct{ d *Dispatcher }

func (s sendsNonsense) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	return s.d.SendFiles(x, p, &exchange.Request{Head: []byte("nonsense\r\n\r\n")}, []byte("a"))
}

func TestMalformedRequestOfAHandlerIsAnsweredWith500(t *testing.T) {
	r := newRig(t, Options{}, Config{})
	r.start()
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200,
		Then: sendsNonsense{r.Dispatcher}}})
	r.want("sent", r.got(), "Internal Server Error")
	checktest.Equalf(t, len(r.server.logged), 1, "lines")
}

// If the client disconnects while the file waits, the exchange ends.
func TestFileWaitsUntilItsResponseIsFirstOfItsConnection(t *testing.T) {
	for _, gone := range []bool{false, true} {
		r := newRig(t, Options{}, Config{})
		r.client.Waits = true
		r.start()
		r.make(exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200,
			Then: sendsFile{r.Dispatcher}}})
		checktest.Needf(t, r.got() == "", "sent %q", r.got())
		r.client.Waits = false
		if gone {
			r.x.Source.OnGone(r.x)
			r.want("sent", r.got(), "/")
		} else {
			r.x.TakeTurn()
			r.want("sent", r.got(), "[file a for x]")
		}
		checktest.Truef(t, r.Idle(), "its ticket is taken")
	}
}

// crowd starts n exchanges of a source. They wait, because the Gate lets only one exchange run, and another exchange
// runs already.
func crowd(t *testing.T, n int) (r *rig, g *Gate, all []*exchange.Exchange) {
	t.Helper()
	g = NewGate(1)
	o := Options{Gate: g}
	r = newRig(t, o, Config{})
	source := r.Source(r.h, o)
	r.start()
	for range n {
		x := r.client.Exchange("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", "")
		x.Req.Body, x.Req.More = []byte("be"), true
		x.Source = source
		source.Start(x)
		copy(x.Req.Body, "??") // like a connection, which reuses this memory
		x.Req = nil
		all = append(all, x)
	}
	return r, g, all
}

func TestRequestWaitsForAPlaceOfTheGate(t *testing.T) {
	r, g, all := crowd(t, 3)
	checktest.Needf(t, g.active == 1 && len(g.waiting) == 3, "%d are active, %d wait", g.active, len(g.waiting))
	all[0].Source.OnGone(all[0])
	piece := []byte("gi")
	all[1].Source.Input(all[1], exchange.Input{Data: piece})
	copy(piece, "??")
	c := all[1].Source.(*call)
	own := g.of(c).request
	checktest.Truef(t, string(own.Body) == "be" && string(own.Head[:6]) == "POST /", "%+v", own)
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200}})
	r.run()
	checktest.Truef(t, c.work == queued, "a call starts before the loop has read its input")
	r.server.turn()
	r.run()
	checktest.Truef(t, g.active == 1 && len(g.waiting) == 1 && c.work == owing && all[1].By == "application",
		"%d are active, %d wait, work %d", g.active, len(g.waiting), c.work)
	checktest.Truef(t, len(r.h.inputs) == 1 && r.h.inputs[0] == "gi", "%q", r.h.inputs)
}

func TestGateAnswers503ToTooManyRequestsAndAfterTheTimeout(t *testing.T) {
	r, g, _ := crowd(t, mostWaiting+2)
	if n := len(r.client.Replies); n != 2 || r.client.Replies[0].Status != 503 || len(g.waiting) != mostWaiting {
		t.Errorf("%d replies, %d wait", n, len(g.waiting))
	}
	r.server.after(20 * second)
	r.Tick()
	checktest.Equalf(t, len(g.waiting), mostWaiting, "wait after 20 s")
	r.server.after(20 * second)
	r.Tick()
	if n := len(r.client.Replies); n != mostWaiting+2 || len(g.waiting) != 0 || g.active != 1 {
		t.Errorf("%d replies, %d wait, %d are active", n, len(g.waiting), g.active)
	}
}

func TestFieldsOfTheFirstHandlerOutliveItsPart(t *testing.T) {
	r := newRig(t, Options{}, Config{})
	s := r.Receiving(r.h, exchange.Memory{})
	r.x.Source = s
	r.start()
	fields := []byte("X-A: b\r\n")
	r.make(exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Then: s, Fields: fields}})
	copy(fields, "???") // like a handler, which reuses the memory of a released part
	checktest.Equal(t, string(r.x.Fields), "X-A: b\r\n")
}

// publisher is a Handler that is not an Interpreter: its parts reach the loop through its Services.
type publisher struct {
	handler
	ticket   exchange.Ticket
	services *exchange.Services
}

func (p *publisher) Submit(t exchange.Ticket, r *exchange.Request) bool {
	p.ticket, p.services = t, r.Services
	return true
}

func TestServicesPublishPartsAndAskTheServer(t *testing.T) {
	loop := looptest.New(t)
	looptest.Run(t, loop, func() {})
	set := new(conn.Set)
	set.Init()
	set.Events = loop
	asked := errors.New("asked")
	d := New(&server{}, set, nil, func(context.Context, exchange.Origin, string, []byte) (*http.Response, error) {
		return nil, asked
	})
	p, client := &publisher{}, &exchangetest.Client{Loop: loop}
	looptest.Do(loop, func() {
		x := client.Exchange("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "")
		x.Source = d.Source(p, Options{Main: true})
		x.Source.Start(x)
	})
	_, err := p.services.Ask(context.Background(), exchange.Origin{}, "/b", nil)
	checktest.Equal(t, err, asked)
	p.services.Publish(p.ticket, &exchange.Part{First: true, End: exchange.Complete, Head: head, Body: []byte("a")})
	looptest.Do(loop, func() {
		checktest.Needf(t, len(client.Parts) == 1, "%d parts", len(client.Parts))
		checktest.Equal(t, string(client.Parts[0].Body), "a")
		checktest.Truef(t, d.Idle(), "the call has not ended")
	})
}

// A blocking handler has finished a part, but its Flush has not returned.
type blocking struct {
	handler
	d    *Dispatcher
	sent bool
}

func (*blocking) InTurn() bool { return true }

func (b *blocking) Flush() {
	ended := make(chan bool)
	go func() { ended <- b.d.sendMeanwhile() }()
	b.sent = <-ended
}

func TestPartIsWrittenWhileItsHandlerBlocksTheLoop(t *testing.T) {
	r := newRig(t, Options{}, Config{})
	b := &blocking{d: r.Dispatcher}
	r.Serve(b)
	b.parts = []exchange.Part{{First: true, Head: head, Body: []byte("a")}}
	r.start()
	checktest.Truef(t, b.sent && r.server.flushed == 1 && r.got() == "[a", "%v, flushed %d times, %q", b.sent,
		r.server.flushed, r.got())
}
