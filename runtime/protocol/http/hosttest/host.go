package hosttest

import (
	"net"
	"os"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
	"fapws/runtime/system"
)

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = 2 * time.Minute

// Host is a http.Host but for Start of its source, which a test adds.
type Host struct {
	http.Server
	Set     conn.Set
	MaxBody int64                // bytes
	Streams bool                 // bodies are streamed
	Held    []*exchange.Exchange // which the test answers
	Gone    int                  // exchanges whose clients have left
	source  exchange.Source
	next    exchange.Request
	parsed  http1.Request
}

// served is an Exchange as the Host has it.
type served struct {
	http.Exchange
	parsed http1.Request // when its Req has to last
	req    exchange.Request
}

func (s *served) Reply(r exchange.Reply) {
	if s.Conn() == nil {
		s.End()
		return
	}
	s.Replace(r.Close)
	s.Send(part(r.Status, r.Text))
}

func (s *served) HasPage(int) bool          { return false }
func (s *served) Decline(string) bool       { return false }
func (s *served) Log(logfile.Level, string) {}
func (s *served) NoteFile(string, []byte)   {}

// Answer sends a whole response with the status 200.
func Answer(x *exchange.Exchange, text string) { x.Sink.Send(part(200, text)) }

// Path returns the canonical path of a request.
func Path(r *exchange.Request) string { return string(r.Parsed.Path.In(r.Head)) }

func part(status int, text string) *exchange.Part {
	return &exchange.Part{First: true, Last: true, Head: exchange.Head{Status: status, Length: -1}, Body: []byte(text), File: -1}
}

func (h *Host) New() *http.Exchange {
	s := new(served)
	s.Sink, s.Server = s, s
	return &s.Exchange
}

func (h *Host) Request() *exchange.Request {
	h.parsed.Fields = nil
	h.next = exchange.Request{Parsed: &h.parsed, Spool: -1}
	return &h.next
}

func (h *Host) Decide(x *http.Exchange) {
	x.MaxBody = h.MaxBody
	h.Resume(x)
}

func (h *Host) Resume(x *http.Exchange) { x.Admit(http.Answerer{Source: h.source, Streams: h.Streams}) }

func (h *Host) Keep(x *http.Exchange) {
	s := x.Server.(*served)
	s.parsed, s.req = *x.Req.Parsed, *x.Req
	s.req.Head, s.req.Parsed = append([]byte(nil), x.Req.Head...), &s.parsed
	x.Req = &s.req
}

func (h *Host) Forget(*http.Exchange)                       {}
func (h *Host) Malformed(*http.Exchange, []byte)            {}
func (h *Host) Substituted(*http.Exchange, *http.Exchange)  {}
func (h *Host) Canceled(*http.Exchange)                     {}
func (h *Host) HalfClosed(*http.Exchange)                   {}
func (h *Host) Ended(*http.Exchange)                        {}
func (h *Host) Edits(*http.Exchange) exchange.Edits         { return nil }
func (h *Host) HeadSent(*http.Exchange, []byte)             {}
func (h *Host) Upgrade(*http.Exchange, *exchange.Part) bool { return false }
func (h *Host) Account(*http.Exchange) string               { return "" }
func (h *Host) Client(*http.Exchange) string                { return "" }
func (h *Host) Arrived(*conn.Conn)                          {}
func (h *Host) Delivered()                                  {}
func (h *Host) OnRoom(*exchange.Exchange)                   {}

func (h *Host) OnGone(x *exchange.Exchange) {
	h.Gone++
	Answer(x, "")
}

// Run runs a loop for h, which whole embeds, until the test has ended. It sets limits and times of cfg.
func (h *Host) Run(t testing.TB, whole interface {
	http.Host
	exchange.Source
}, cfg http.Config) {
	t.Helper()
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	h.source, h.MaxBody = whole, 1<<20
	h.Set.Init()
	h.Set.SetReadSize(64 << 10)
	h.Set.Events, h.Set.WriteTimeout = loop, time.Hour
	h.Set.Log = func(level logfile.Level, format string, args ...any) { t.Logf(format, args...) }
	h.Init(whole, &h.Set, "test")
	cfg.Limits = cfg.Limits.WithDefaults()
	cfg.HeadTimeout, cfg.BodyTimeout, cfg.KeepAlive = time.Hour, time.Hour, time.Hour
	cfg.SpoolSize, cfg.SpoolDir = 1<<20, t.TempDir()
	h.Configure(cfg)
	loop.AtEndOfBatch(func() { h.Flush() })
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		h.Do(func() { h.Set.CloseAll("the test has ended") })
		h.Do(func() {
			if n := h.Active(); n != len(h.Held)-h.Gone && n != 0 {
				t.Errorf("%d exchanges have not ended", n)
			}
		})
		loop.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		loop.Close()
	})
}

// Flush writes, and goes on with input that had to wait. It is for the loop.
func (h *Host) Flush() {
	for {
		h.Set.Flush()
		if !h.Set.Resumes() {
			return
		}
		h.Set.Resume()
	}
}

// Do runs a function on the loop.
func (h *Host) Do(run func()) {
	done := make(chan bool)
	h.Set.Events.Post(func() {
		defer close(done)
		run()
		h.Flush()
	})
	<-done
}

// Sockets returns the server's side of a connection, a descriptor that does not block, and the client's.
func Sockets(t testing.TB) (fd int, client net.Conn) {
	t.Helper()
	fds, err := system.SocketpairNonblock()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "client")
	defer f.Close()
	client, err = net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetDeadline(time.Now().Add(patience))
	return fds[1], client
}
