package http1conn

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func newServer(cfg exchange.Config) *Server {
	s := new(Server)
	s.Init(new(exchange.Server), nil, nil, nil)
	s.Server.Init(nil, new(conn.Set), nil, nil, "test")
	s.Configure(cfg)
	return s
}

func exchangeFrom(s *Server, addr string) *exchange.Exchange {
	c := s.NewClient(-1, new(net.TCPAddr), &net.TCPAddr{IP: net.ParseIP(addr)}, false)
	return s.New(&c.Client, c)
}

func newExchange(cfg exchange.Config) *exchange.Exchange {
	return exchangeFrom(newServer(cfg), "192.0.2.1")
}

// When the incomplete bodies of a client exceed its share of memory, all but the small bodies are stored in files.
func TestBodiesOfAClientMoveToFilesAboveItsMemory(t *testing.T) {
	cfg := exchange.Config{SpoolDir: t.TempDir(), SpoolSize: 256 << 10, MaxSpools: 1000, MaxBodyMemory: 3 << 20}
	s := newServer(cfg)
	free := s.InputMemory().Room("")
	store := func(client string, size int) *framedBody {
		b := new(framedBody)
		b.Begin(s, new(http1.Request), -1, 0)
		b.X = exchangeFrom(s, client)
		b.X.Req = &exchange.Request{Spool: -1}
		for range size >> 10 {
			_ = b.Count(1<<10, 0)
			checktest.Equal(t, b.store(make([]byte, 1<<10)), nil)
		}
		return b
	}
	var all []*framedBody
	inMemory := 0
	for range 50 {
		b := store("192.0.2.1", 200<<10)
		inMemory += b.InMemory()
		all = append(all, b)
	}
	checktest.Truef(t, inMemory >= 1<<19 && inMemory <= 1<<20, "one client has %d bytes in memory", inMemory)
	for _, b := range []*framedBody{store("192.0.2.1", 8<<10), store("192.0.2.2", 200<<10)} {
		checktest.Truef(t, !b.InFile(), "%d bytes of %s are in a file", b.Size(), b.of)
		all = append(all, b)
	}
	for i, b := range all {
		if i%2 == 0 {
			b.End()
		}
		if b.X.Req.Spool >= 0 {
			unix.Close(b.X.Req.Spool)
		}
		b.Drop()
	}
	n := s.InputMemory().Room("")
	checktest.Equalf(t, n, free, "%d bytes still count", free-n)
}
