package runtime

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
)

// sharing makes n servers that accept on one socket, each of which runs one request at a time.
func sharing(t *testing.T, n int, moment time.Duration, behave func(*call)) (servers []*testServer, addr string) {
	t.Helper()
	f, err := conn.ListeningSocket("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range n {
		s := serve(t, Config{Accept: conn.AcceptConfig{Concurrency: 1}}, newApp(false, behave), sites.Mount{Prefix: "/", Occupies: app.OccupiesUntilEnd})
		s.do(func() {
			s.loop.accepting.Configure(conn.AcceptConfig{MaxClients: 1000, Concurrency: 1, Moment: moment})
		})
		ln, err := conn.ListenerFromFile(f)
		if err != nil {
			t.Fatal(err)
		}
		addr = ln.Addr().String()
		s.Accept(ln)
		s.do(func() {})
		servers = append(servers, s)
	}
	return servers, addr
}

func dialTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// As many requests run at once as there are processes: each new connection finds one that is idle.
func TestBalance(t *testing.T) {
	t.Parallel()
	const n = 3
	entered, release := make(chan bool, n), make(chan bool)
	_, addr := sharing(t, n, time.Hour, func(c *call) {
		entered <- true
		<-release
		c.reply(200, "done")
	})
	for range 20 {
		var clients []net.Conn
		for range n {
			c := dialTo(t, addr)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			clients = append(clients, c)
		}
		for i := range n {
			select {
			case <-entered:
			case <-time.After(patience):
				t.Fatalf("%d of %d run", i, n)
			}
		}
		for range n {
			release <- true
		}
		for _, c := range clients {
			if all, err := io.ReadAll(c); err != nil || len(all) == 0 {
				t.Fatalf("%q, %v", all, err)
			}
		}
	}
}

// An answer that is made piece by piece occupies its process until its end, whatever the client has of it: the next
// one runs in another process.
func TestBalanceOfStreams(t *testing.T) {
	t.Parallel()
	started, release := make(chan *testApp, 2), make(chan bool)
	servers, addr := sharing(t, 2, time.Hour, func(c *call) {
		c.part(exchange.Part{File: -1, Body: []byte("begun"), Head: exchange.Head{Status: 200, Length: 10}})
		started <- c.app
		<-release
		c.part(exchange.Part{File: -1, Body: []byte("ended"), Last: true})
	})
	for range 20 {
		var clients []net.Conn
		var apps []*testApp
		for range 2 {
			c := dialTo(t, addr)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			for begun := ""; !strings.HasSuffix(begun, "begun"); {
				buf := make([]byte, 500)
				n, err := c.Read(buf)
				if err != nil {
					t.Fatalf("%q, %v", begun, err)
				}
				begun += string(buf[:n])
			}
			clients, apps = append(clients, c), append(apps, <-started)
		}
		if apps[0] == apps[1] {
			t.Fatal("two streams run in one process")
		}
		for _, c := range clients {
			release <- true
			defer c.Close()
		}
		for _, c := range clients {
			if all, err := io.ReadAll(c); err != nil || string(all) != "ended" {
				t.Fatalf("%q, %v", all, err)
			}
		}
		for _, s := range servers {
			eventually(t, "nothing runs", func() (none bool) {
				s.do(func() { none = s.loop.accepting.Running() == 0 })
				return none
			})
		}
	}
}

// A connection that finds all processes busy is served as soon as one of them is idle.
func TestBalanceWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	const n = 2
	entered, release := make(chan string, 9), map[string]chan bool{"/a": make(chan bool), "/b": make(chan bool), "/c": make(chan bool, 1)}
	_, addr := sharing(t, n, time.Hour, func(c *call) {
		entered <- c.Path
		<-release[c.Path]
		c.reply(200, "done")
	})
	ask := func(path string) net.Conn {
		c := dialTo(t, addr)
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return c
	}
	clients := []net.Conn{ask("/a"), ask("/b")}
	<-entered
	<-entered
	clients = append(clients, ask("/c"))
	release["/b"] <- true
	release["/c"] <- true
	if got := <-entered; got != "/c" {
		t.Errorf("%s runs", got)
	}
	for _, c := range clients[1:] {
		if all, err := io.ReadAll(c); err != nil || len(all) == 0 {
			t.Fatalf("%q, %v", all, err)
		}
	}
	release["/a"] <- true
}

// Files are served although all processes are busy, and silent connections keep none from being accepted.
func TestBalanceLeavesNoneWaiting(t *testing.T) {
	t.Parallel()
	const n = 2
	entered, release := make(chan bool, n), make(chan bool)
	servers, addr := sharing(t, n, time.Millisecond, func(c *call) {
		entered <- true
		<-release
		c.reply(200, "done")
	})
	options := func() {
		t.Helper()
		c := dialTo(t, addr)
		io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if all, err := io.ReadAll(c); err != nil || len(all) == 0 {
			t.Fatalf("%q, %v", all, err)
		}
	}
	for range 10 * n {
		dialTo(t, addr)
		options()
	}
	for range n {
		io.WriteString(dialTo(t, addr), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	<-entered // the other may wait for it: either server may accept after the moment
	for range 10 {
		options()
	}
	close(release)
	for _, s := range servers {
		eventually(t, "nothing runs", func() (none bool) {
			s.do(func() { none = s.loop.accepting.Running() == 0 })
			return none
		})
	}
}
