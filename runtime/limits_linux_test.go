package runtime

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/system"
)

const emfileEnv = "FAPWS_TEST_EMFILE"

// When there are no descriptors left the server says so, serves those that it
// has, and goes on when there are some again. It runs in a separate process
// because of setrlimit.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv(emfileEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
		cmd.Env = append(os.Environ(), emfileEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "survived") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s := serve(t, Config{Accept: conn.AcceptConfig{MaxClients: 1000}}, newApp(true, demo))
	old := s.dial(t)
	ask := func(c net.Conn) string {
		io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		return string(readBody(t, c))
	}
	ask(old)
	// Both ends of a connection are in this process: sockets made now, then
	// the limit, so that only the server runs out.
	var clients []int
	for range 40 {
		fd, err := system.Socket(unix.AF_INET)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, fd)
	}
	limit := unix.Rlimit{Cur: uint64(openFiles(t) + 5), Max: 1 << 10}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var port int
	fmt.Sscanf(s.addr, "127.0.0.1:%d", &port)
	for _, fd := range clients {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); err != nil {
			t.Fatal(err)
		}
	}
	named := fmt.Sprintf("cannot accept connections for now: too many open files (ulimit -n %d); raise LimitNOFILE", limit.Cur)
	eventually(t, "the log names the limit", func() bool { return strings.Contains(s.log.String(), named) })
	for range 10 {
		if got := ask(old); got != "GET /a?" {
			t.Fatalf("got %q", got)
		}
	}
	// Each answer (HTTP/1.0) makes room for the next connection.
	served := 0
	for _, fd := range clients {
		unix.Write(fd, []byte("GET /b HTTP/1.0\r\n\r\n"))
	}
	for _, fd := range clients {
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
		buf := make([]byte, 4096)
		if n, err := unix.Read(fd, buf); err == nil && strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200 OK") {
			served++
		}
		unix.Close(fd)
	}
	if n := strings.Count(s.log.String(), "cannot accept"); n != 1 {
		t.Errorf("%d lines about the limit in a minute", n)
	}
	if served < len(clients)/2 {
		t.Errorf("%d of %d served", served, len(clients))
	}
	fmt.Println("survived", served)
}
