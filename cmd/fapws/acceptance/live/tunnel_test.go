package live_test

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// serveTunnels starts a server that forwards WebSockets to another server.
func serveTunnels(t *testing.T, lines string, flags ...string) *fapwstest.Server {
	t.Helper()
	return fapwstest.ServeProxy(t, fapwstest.Serve(t, fapwstest.Threads, "sockets.py").URL, lines, flags...)
}

func TestProxiedWebSocketsBehaveLikeDirectOnes(t *testing.T) {
	t.Parallel()
	s := serveTunnels(t, "headers = { X-Added = \"yes\" }\n")
	c := s.Socket("/room")
	answers(t, c, "echo hello", "echo hello")
	long := "echo " + strings.Repeat("long ", 150_000)
	for range 5 {
		answers(t, c, long, long)
	}
	says(t, c, "close 4001 enough")
	closesWith(t, c, 4001, "enough")
	w := s.Dial()
	for range 2 {
		w.Send(wstest.Handshake("/room?teapot"))
		w.Answer().Want(t, 418, "short and stout").Field(t, "X-Added", "yes")
	}
	w.Send(wstest.Handshake("/room"))
	h := w.Head("GET").Header
	fapwstest.Truef(t, h.Get("X-Added") == "yes" && h.Get("Sec-WebSocket-Accept") != "", "%v", h)
}

func TestProxiedWebSocketsPassTheAutobahnCases(t *testing.T) {
	t.Parallel()
	s := fapwstest.ServeProxy(t, fapwstest.Serve(t, fapwstest.Threads, "echo.py").URL, "")
	fapwstest.WebSocketCases(t, s.Address, "/callbacks")
}

func TestTunnelHasALogLineWithItsBytesAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := serveTunnels(t, "", "--access-log", "log",
		"--access-log-format", `%h "%r" %s %B %I %O %X`, "--graceful-timeout", "1")
	log := func() string { return fapwstest.TextOf(t, filepath.Join(s.Cmd.Dir, "log")) }
	c := s.Socket("/room")
	answers(t, c, "echo 12345", "echo 12345")
	fapwstest.Equalf(t, log(), "", "before its end")
	c.CloseWith(1000, "")
	c.Conn.Close()
	const head = `127\.0\.0\.1 "GET /room HTTP/1\.1" 101 `
	fapwstest.Eventually(t, "a line", func() bool { return strings.Contains(log(), "\n") })
	// The upstream server sent 16 bytes: a message of 10 bytes with a frame header of 2 bytes, and a close frame of 4
	// bytes. The client sent the same frames with a mask of 4 bytes each: 24 bytes.
	fapwstest.Matches(t, log(), `^`+head+`16 \d+ \d+ -\n$`)
	var in, out int
	fmt.Sscanf(log()[strings.Index(log(), " 16 "):], " 16 %d %d", &in, &out)
	fapwstest.Truef(t, in >= 24+150 && in <= 24+400 && out >= 16+100 && out <= 16+400, "%d bytes in, %d out", in, out)

	c = s.Socket("/room")
	answers(t, c, "echo 12345", "echo 12345")
	s.SignalLogs(syscall.SIGTERM, "stopping; waiting up to 1s for active requests")
	_, _, err := c.Receive()
	fapwstest.Truef(t, err != nil, "a message from nowhere")
	s.EndsWith(0)
	fapwstest.Matches(t, log(), `\n`+head+`12 \d+ \d+ X\n$`)
}

func TestServerThatStopsWaitsForTunnels(t *testing.T) {
	t.Parallel()
	s := serveTunnels(t, "", "--graceful-timeout", "1h")
	c := s.Socket("/room")
	s.SignalLogs(syscall.SIGTERM, "stopping; ")
	answers(t, c, "echo still there", "echo still there")
	c.Conn.Close()
	s.EndsWith(0)
}

func TestTunnelsStayInTheirWorkerAtAReload(t *testing.T) {
	for _, grace := range []string{"1h", "1s"} {
		t.Run(grace, func(t *testing.T) {
			t.Parallel()
			s := serveTunnels(t, "", "--workers", "1", "--graceful-timeout", grace)
			old := s.Socket("/room")
			answers(t, old, "echo before", "echo before")
			workers := s.Family()[1:]
			s.SignalLogs(syscall.SIGHUP, "reloaded: 1 worker")
			next := s.Socket("/room")
			if grace == "1h" {
				answers(t, old, "echo after", "echo after")
				old.Conn.Close()
			} else if _, _, err := old.Receive(); err == nil {
				t.Error("a message from nowhere")
			}
			fapwstest.HaveEnded(t, "the old worker ended", workers[0])
			answers(t, next, "echo next", "echo next")
			next.CloseWith(1000, "")
			next.Conn.Close()
		})
	}
}

func TestTunnelNeedsTwoDescriptors(t *testing.T) {
	t.Parallel()
	const many = 100
	s := serveTunnels(t, "")
	s.Get("/noted", 200)
	files := func() int { return len(s.Descriptors()) }
	idle := files()
	var clients []*wstest.Client
	for range many {
		c := s.Socket("/room")
		answers(t, c, "echo hello", "echo hello")
		clients = append(clients, c)
	}
	fapwstest.Eventually(t, "two descriptors for each tunnel", func() bool { return files() <= idle+2*many })
	for _, c := range clients {
		c.Conn.Close()
	}
	fapwstest.Eventually(t, "no descriptor is left", func() bool { return files() <= idle })
}

func TestTunnelsCountTowardsMaxClients(t *testing.T) {
	t.Parallel()
	s := serveTunnels(t, "", "--max-clients", "3", "--max-clients-action", "503")
	clients := fapwstest.Repeat(3, func(int) *wstest.Client { return s.Socket("/room") })
	s.Dial().Fetch("/noted").Want(t, 503)
	clients[0].CloseWith(1000, "")
	clients[0].Conn.Close()
	fapwstest.Eventually(t, "room for one", func() bool {
		c, err := wstest.Dial(s.Address, "/room")
		if err == nil {
			c.Conn.Close()
		}
		return err == nil
	})
	clients[1].Conn.Close()
	fapwstest.Eventually(t, "room for a request", func() bool {
		all, _ := io.ReadAll(io.LimitReader(s.DialGet("/noted").In, 12))
		return string(all) == "HTTP/1.1 200"
	})
	for _, c := range clients[2:] {
		answers(t, c, "echo still there", "echo still there")
	}
}

func TestSilentTunnelTimesOut(t *testing.T) {
	t.Parallel()
	s := serveTunnels(t, "proxy-tunnel-timeout = 1\n")
	_, _, err := s.Socket("/room").Receive()
	fapwstest.Truef(t, err != nil, "a message from nowhere")
	s.Says(`proxy http://\S+: WebSocket closed: idle timeout of 1s exceeded \(GET localhost/room\)\n`)
}

func TestRequestTimeoutEndsWithTheHandshake(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Serve(t, fapwstest.Threads, "sockets.py")
	s := fapwstest.ServeProxy(t, upstream.URL, "timeout = 2\n")
	var c *wstest.Client
	fapwstest.Eventually(t, "the handshake is in time", func() bool {
		var err error
		c, err = wstest.Dial(s.Address, "/room")
		return err == nil
	})
	t.Cleanup(func() { c.Conn.Close() })
	s.Get("/wait", 504) // takes as long as the timeout, which the WebSocket must outlive
	upstream.Get("/open", 200)
	answers(t, c, "echo hello", "echo hello")
}

func TestTunnelsContinueWithoutDescriptors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \""+
		fapwstest.Serve(t, fapwstest.Threads, "sockets.py").URL+"\"\n")
	s := fapwstest.Command{Shell: "ulimit -n 100", Flags: []string{"-c", file}, Dir: dir}.Serve(t, fapwstest.Mode{})
	var clients []*wstest.Client
	refused := 0
	for range 60 {
		c, err := wstest.Dial(s.Address, "/room")
		if err != nil {
			refused++
			fapwstest.Truef(t, strings.Contains(err.Error(), "denied: 50"), "%v", err)
			continue
		}
		clients = append(clients, c)
	}
	fapwstest.Truef(t, refused != 0 && len(clients) >= 10, "%d tunnels, %d refused", len(clients), refused)
	s.Says("sent 503: active requests hold too many files and connections")
	for _, c := range clients {
		answers(t, c, "echo still there", "echo still there")
		c.Conn.Close()
	}
	fapwstest.Eventually(t, "as many as before", func() bool {
		for range len(clients) {
			c, err := wstest.Dial(s.Address, "/room")
			if err != nil {
				return false
			}
			defer c.Conn.Close()
		}
		return true
	})
}

func TestTunnelsFromUnixSocketClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveTunnels(t, "", "-b", "unix:"+dir+"/s", "--access-log", dir+"/log")
	for _, polite := range []bool{true, false} {
		c := fapwstest.Try(wstest.Open(fapwstest.Dial(t, "unix", dir+"/s").Conn, "/room")).Must(t)
		answers(t, c, "echo hello", "echo hello")
		if polite {
			c.CloseWith(1000, "")
		}
		c.Conn.Close()
	}
	fapwstest.Eventually(t, "two lines", func() bool {
		return strings.Count(fapwstest.TextOf(t, dir+"/log"), `"GET /room HTTP/1.1" 101 `) == 2
	})
	s.Stop()
}
