package runtime

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/conn"

	"golang.org/x/sys/unix"
)

// holdLoop keeps the loop busy until release is called, so that everything that happens
// meanwhile is ready at once.
func (s *testServer) holdLoop() (release func()) {
	hold, held := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.do(func() { close(held); <-hold })
	}()
	<-held
	return func() { close(hold); <-ended }
}

// Descriptors of connections that are closed are those of new ones at once. What epoll has to say
// of the old ones then concerns nothing.
func TestDescriptorsUsedAgainAtOnce(t *testing.T) {
	t.Parallel()
	const n, rounds = 20, 10
	var mu sync.Mutex
	var waiting []*call
	a := newApp(false, func(c *call) {
		if c.Path != "/old" {
			c.reply(200, c.Path)
			return
		}
		mu.Lock()
		waiting = append(waiting, c)
		mu.Unlock()
	})
	s := serve(t, Config{}, a)
	for round := range rounds {
		var old, fresh [n]*net.TCPConn
		for i := range n {
			old[i] = s.dial(t)
			io.WriteString(old[i], "GET /old HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		}
		eventually(t, "in flight", func() bool { mu.Lock(); defer mu.Unlock(); return len(waiting) == n })
		release := s.holdLoop()
		for i := range n {
			fresh[i] = s.dial(t)
			fmt.Fprintf(fresh[i], "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
			waiting[i].reply(200, "late")
			switch (i + round) % 3 {
			case 0:
				old[i].SetLinger(0)
				old[i].Close()
			case 1:
				old[i].Close()
			case 2:
				old[i].CloseWrite()
			}
		}
		waiting = nil
		release()
		for i := range n {
			for k := range 2 {
				if k > 0 {
					fmt.Fprintf(fresh[i], "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
				}
				if got := readBody(t, fresh[i]); string(got) != fmt.Sprintf("/%d", i) {
					t.Fatalf("round %d: %q", round, got)
				}
			}
		}
		for i := range n {
			fresh[i].Close()
			old[i].Close()
		}
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

// Urgent data is not part of a request, wherever it comes (RFC 9112 has none), and does not delay one.
func TestUrgentData(t *testing.T) {
	t.Parallel()
	urgent := func(c *net.TCPConn) {
		t.Helper()
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
		if err != nil && err != unix.EISCONN {
			t.Fatal(err)
		}
	}
	const first, second = "GET /a HT", "TP/1.1\r\nHost: x\r\n\r\n"
	orders := map[string]func(*net.TCPConn){
		"before": func(c *net.TCPConn) { urgent(c); io.WriteString(c, first+second) },
		"in":     func(c *net.TCPConn) { io.WriteString(c, first); urgent(c); io.WriteString(c, second) },
		"behind": func(c *net.TCPConn) { io.WriteString(c, first+second); urgent(c) },
	}
	modes(t, func(t *testing.T, inline bool) {
		s := serve(t, Config{}, newApp(inline, demo))
		for name, send := range orders {
			for _, atOnce := range []bool{false, true} {
				c := s.dial(t)
				for i := range 4 {
					release := func() {}
					if atOnce {
						release = s.holdLoop()
					}
					send(c)
					release()
					if got := readBody(t, c); string(got) != "GET /a?" {
						t.Fatalf("%s, at once %v, request %d: %q", name, atOnce, i, got)
					}
				}
				io.WriteString(c, "GET /last HTTP/1.0\r\n\r\n")
				if all, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(all), "GET /last?") {
					t.Errorf("%s: %q, %v", name, all, err)
				}
			}
		}
	})
}

// A client that shuts down its side behind its last request gets all answers, also when its
// connection was not read for a while because it has sent so much ahead.
func TestHalfCloseBehindManyRequests(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		const n, size = 8, 30000
		gate := make(chan struct{})
		a := newApp(inline, func(c *call) {
			if !inline {
				<-gate
			}
			c.reply(200, fmt.Sprint(len(c.Body)))
		})
		s := serve(t, Config{}, a)
		c := s.dial(t)
		request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		last := strings.Replace(request, "Host: x", "Host: x\r\nConnection: close", 1)
		io.WriteString(c, strings.Repeat(request, n-1)+last)
		c.CloseWrite()
		if !inline {
			eventually(t, "in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
		}
		close(gate)
		all, err := io.ReadAll(c)
		if got := strings.Count(string(all), "\r\n\r\n30000"); err != nil || got != n {
			t.Errorf("%d answers, want %d: %v", got, n, err)
		}
		eventually(t, "it is closed", func() bool { return s.loop.live.Load() == 0 })
	})
}

const manyClientsEnv = "FAPWS_TEST_MANY_CLIENTS"

// Ten thousand connections may have something to say at the same moment. Their clients are a process
// beside this one, because of the limit of descriptors.
func TestManyConnectionsReadyAtOnce(t *testing.T) {
	if addr := os.Getenv(manyClientsEnv); addr != "" {
		manyClients(t, addr)
		return
	}
	modes(t, func(t *testing.T, inline bool) {
		s := serve(t, Config{Accept: conn.AcceptConfig{MaxClients: 1 << 16}}, newApp(inline, demo))
		cmd := exec.Command(os.Args[0], "-test.run=^TestManyConnectionsReadyAtOnce$")
		cmd.Env = append(os.Environ(), manyClientsEnv+"="+s.addr)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer in.Close()
		lines := bufio.NewReader(out)
		var n int
		if _, err := fmt.Fscanf(lines, "connected %d\n", &n); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all are connected", func() bool { return s.loop.live.Load() == int64(n) })
		for range 2 {
			release := s.holdLoop()
			io.WriteString(in, "send\n")
			if line, err := lines.ReadString('\n'); line != "sent\n" {
				t.Fatalf("%q, %v", line, err)
			}
			release()
			if line, err := lines.ReadString('\n'); line != "answered\n" {
				t.Fatalf("%q, %v", line, err)
			}
		}
		in.Close()
		eventually(t, "all have left", func() bool { return s.loop.live.Load() == 0 })
	})
}

// manyClients sends requests to addr on many connections at once, each time it is triggered.
func manyClients(t *testing.T, addr string) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := int(min(10_000, limit.Cur-100))
	clients := make([]rawClient, n)
	long := unix.NsecToTimeval(patience.Nanoseconds())
	for i := range clients {
		clients[i] = dialRaw(t, addr)
		unix.SetsockoptTimeval(clients[i].fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &long)
	}
	fmt.Println("connected", n)
	buf := make([]byte, 4096)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for _, c := range clients {
			unix.Write(c.fd, plain)
		}
		fmt.Println("sent")
		for i, c := range clients {
			if got := buf[:c.read(buf)]; !bytes.HasSuffix(got, []byte("GET /hello?name=world")) {
				fmt.Printf("client %d got %q\n", i, got)
				os.Exit(1)
			}
		}
		fmt.Println("answered")
	}
	os.Exit(0)
}
