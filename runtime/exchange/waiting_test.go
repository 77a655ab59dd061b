package exchange_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A checking Access admits each request after a check, which ends when the test resumes the exchange.
type checking struct {
	x                  *exchange.Exchange
	checked            bool
	canceled, deferred int
}

func (*checking) By() exchange.Login { return exchange.Basic }

func (*checking) Named([]byte, []http1.Field) string { return "" }

func (a *checking) Admit(x *exchange.Exchange) (*exchange.Reply, exchange.Check) {
	if a.checked {
		return nil, nil
	}
	a.x = x
	return nil, a
}

func (a *checking) Cancel() { a.canceled++ }
func (a *checking) Defer()  { a.deferred++ }

func (a *checking) resume() {
	a.checked = true
	a.x.Resume()
}

func TestCheckOfALoginIsCanceledWhenItsClientDisconnectsUnlessItHasEnded(t *testing.T) {
	for _, ends := range []bool{false, true} {
		h, a := new(holding), new(checking)
		h.Run(t, h, exchange.Config{})
		use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h, Access: a}}})
		h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
		h.Do(func() {})
		if ends {
			h.Do(a.resume)
		}
		h.Do(func() { a.x.Conn().Close("the client has disconnected") })
		h.Do(func() {
			checktest.Truef(t, (a.canceled == 0) == ends && a.deferred == 0, "the check has ended: %v; %d cancels, %d defers",
				ends, a.canceled, a.deferred)
		})
	}
}

func (h *answering) pass(d time.Duration) {
	h.Do(func() {
		h.Set.Now += int64(d)
		h.Tick()
	})
}

// isAnswered ends the loading of the application, and checks that the request of the client is still active.
func (h *answering) isAnswered(t *testing.T, client *bufio.Reader) {
	t.Helper()
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/", Source: h}}})
	r := checktest.Try(http.ReadResponse(client, nil)).Must(t)
	body := checktest.Try(io.ReadAll(r.Body)).Must(t)
	checktest.Truef(t, r.StatusCode == 200 && string(body) == "text", "%d %q", r.StatusCode, body)
}

func TestEachLoadOfTheApplicationBeginsANewTimeout(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{StartWait: time.Hour})
	loading := exchange.Site{Table: []exchange.Mount{{Prefix: "/", Pending: true}}}
	use(t, &h.Host, loading)
	client := bufio.NewReader(h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"))
	h.pass(40 * time.Minute)
	use(t, &h.Host, loading)
	h.pass(40 * time.Minute)
	h.isAnswered(t, client)
}

// A needing source needs a descriptor before it declines a path.
type needing struct{ declining }

func (n needing) Start(x *exchange.Exchange) {
	if x.HoldDescriptor() {
		n.declining.Start(x)
	} else {
		x.AwaitDescriptor()
	}
}

func TestWaitForADescriptorDoesNotShortenALaterWait(t *testing.T) {
	h := new(answering)
	h.Run(t, h, exchange.Config{StartWait: time.Hour})
	use(t, &h.Host, exchange.Site{Table: []exchange.Mount{{Prefix: "/files", Source: needing{}},
		{Prefix: "/", Pending: true}}})
	free := int64(0)
	h.Do(func() {
		free = h.Descriptors.Free("")
		h.Descriptors.Add("", free)
	})
	client := bufio.NewReader(h.Connect(t, "GET /files/none HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"))
	h.pass(119 * time.Minute)
	h.Do(func() { h.Descriptors.Add("", -free) })
	h.pass(2 * time.Minute)
	h.isAnswered(t, client)
}
