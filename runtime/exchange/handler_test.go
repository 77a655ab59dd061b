package exchange

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

func TestOccupancyOfAResponseEndsWithItsPart(t *testing.T) {
	head, whole := &Part{First: true}, &Part{First: true, End: Complete}
	interim := &Part{Interim: true}
	for o, ends := range map[Occupancy][]*Part{
		OccupiesNothing: nil, OccupiesUntilHead: {head, whole}, OccupiesUntilEnd: {whole},
	} {
		for _, p := range []*Part{head, whole, interim} {
			got, want := o.EndsWith(p), slices.Contains(ends, p)
			checktest.Equalf(t, got, want, "%d: after %+v", o, p)
		}
	}
}

func TestListWithoutExchangesIsEmpty(t *testing.T) {
	l, x := new(List), new(Exchange)
	l.Add(x)
	checktest.Truef(t, l.Shift() == x && *l == List{}, "%+v", l)
}

func TestRecordsOfEndedExchangesAreReused(t *testing.T) {
	s := &Server{}
	c := &Client{peer: &Peer{}}
	var all []*Exchange
	for range 3 * spareRecords {
		x := s.New(c, nil)
		x.Record = new(logfile.Record)
		all = append(all, x)
	}
	for _, x := range all {
		x.End()
	}
	n := len(s.records)
	checktest.Truef(t, n == spareRecords && s.Active() == 0, "%d records are kept, %d exchanges are active", n, s.Active())
}

// serving returns a server with the mount m and without an event loop.
func serving(t *testing.T, m Mount) *Server {
	s := new(Server)
	s.Init(nil, new(conn.Set), nil, nil, "")
	s.Configure(Config{Limits: http1.DefaultLimits})
	s.Use(checktest.Try(s.Prepare([]Site{{Table: []Mount{m}}}, nil, nil)).Must(t))
	return s
}

// A starting keeps the requests whose path is /kept.
type starting struct{ Memory }

func (starting) Start(x *Exchange) {
	if string(x.Req.Path) == "/kept" {
		x.Keep()
	}
}

func TestRequestIsValidUntilItsSourceHasStartedOrTheEndIfKept(t *testing.T) {
	s := serving(t, Mount{Prefix: "/", Source: starting{}})
	client := &Client{peer: new(Peer)}
	var all []*Exchange
	for _, path := range []string{"/first", "/kept", "/last"} {
		r := s.Request()
		r.Head = []byte("GET " + path + " HTTP/1.1\r\nHost:\r\n\r\n")
		checktest.Try(r.Parsed.Parse(r.Head, &s.Config.Limits)).Must(t)
		x := s.New(client, new(Sub))
		x.Decide()
		all = append(all, x)
	}
	if first, last := all[0], all[2]; first.Req != nil || first.req != nil || last.Req != nil || last.req != nil {
		t.Errorf("the requests are still valid: %v, %v", first.Req, last.Req)
	}
	kept := all[1].Req
	checktest.Truef(t, kept != nil && string(kept.Path) == "/kept", "kept: %+v", kept)
}

// The last piece before the limit may exceed InputWindow. The handler gets more input after it has returned half of the
// window. Returning more bytes than it has received has no effect.
func TestHandlerGetsInputUpToItsWindow(t *testing.T) {
	var o Outstanding
	piece := make([]byte, InputWindow/4)
	for i, enough := range []bool{false, false, false, true} {
		checktest.Equalf(t, o.Add(piece), enough, "piece %d", i)
	}
	for i, more := range []bool{false, false, true} {
		checktest.Equalf(t, o.Credit(InputWindow/4+InputCost), more, "credit %d", i)
	}
	checktest.Truef(t, o.Credit(InputWindow) && o == 0 && !o.Add(nil) && o == InputCost, "%v", o)
}

func TestReplyIsTextOrAPage(t *testing.T) {
	for _, test := range []struct {
		name string
		r    Reply
		html bool
		kind string
		body string
	}{
		{"phrase", Reply{Status: 404}, false, TextType, "Not Found\n"},
		{"text", Reply{Status: 413, Text: "too <big>"}, false, TextType, "too <big>\n"},
		{"page", Reply{Status: 413, Text: "too <big> & more"}, true, htmlType, "<p>Too &lt;big&gt; &amp; more.</p>"},
		{"prefix", Reply{Status: 404}, true, htmlType, ` href="/&lt;app/">`},
		{"body", Reply{Status: 200, Body: []byte("{}"), Type: "application/json"}, true, "application/json", "{}"},
		{"nothing", Reply{Status: 204, Whole: true}, false, "", ""},
	} {
		var head Head
		x := &Exchange{}
		x.html, x.Prefix = test.html, "/<app"
		body := string(fillHead(&head, &test.r, x))
		checktest.Truef(t, body == test.body || test.kind == htmlType && strings.Contains(body, test.body),
			"%s: %q, want %q", test.name, body, test.body)
		checktest.Truef(t, head.Status == test.r.Status && head.Type == test.kind && head.Length == int64(len(body)),
			"%s: %+v", test.name, head)
	}
}

func TestPageOfALoadingApplicationShowsForHowLong(t *testing.T) {
	for since, want := range map[time.Duration]string{time.Second / 2: " 1 second.", 5 * time.Second / 2: " 2 seconds."} {
		r := Starting(since)
		checktest.Truef(t, strings.Contains(string(r.Body), want), "%v: %s", since, r.Body)
	}
}
