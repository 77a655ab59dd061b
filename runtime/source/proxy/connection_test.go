package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

type lateConn struct {
	*net.TCPConn
	may chan struct{}
}

func (c lateConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	<-c.may
	return n, err
}

// The test reads the response before the goroutine that has written the request runs again.
func TestConnectionIsReusedAfterAnEarlyResponse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		upstream, err := ln.Accept()
		if err != nil {
			return
		}
		defer upstream.Close()
		in := bufio.NewReader(upstream)
		request, err := http.ReadRequest(in)
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(io.Discard, request.Body)
		io.WriteString(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		in.ReadByte()
	}()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := lateConn{dialed.(*net.TCPConn), make(chan struct{})}
	defer conn.Close()
	c := &connection{Conn: conn, under: conn, timeout: time.Minute}
	request, err := http.NewRequest("POST", "http://upstream/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.ask(request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); string(body) != "ok" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	time.AfterFunc(10*time.Millisecond, func() { close(conn.may) })
	if again, surplus := c.settle(); !again || len(surplus) > 0 {
		t.Errorf("the connection is not kept, %q", surplus)
	}
}
