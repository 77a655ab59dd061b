package exchange

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// A starting keeps the requests whose path is /kept.
type starting struct{ Memory }

func (starting) Start(x *Exchange) {
	if string(x.Req.Path) == "/kept" {
		x.Keep()
	}
}

func TestRequestIsValidUntilItsSourceHasStartedOrTheEndIfKept(t *testing.T) {
	s := new(Server)
	s.Init(nil, new(conn.Set), nil, nil, "")
	s.Configure(Config{Limits: http1.DefaultLimits})
	table := checktest.Try(s.Prepare([]Site{{Table: []Mount{{Prefix: "/", Source: starting{}}}}}, nil, nil)).Must(t)
	s.Use(table)
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
