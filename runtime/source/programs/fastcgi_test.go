package programs_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/source/programs"
)

func newFastCGISite(t *testing.T, o programs.FastCGIOptions) *site {
	t.Helper()
	s := newFolder(t, nil)
	o.Log = s.log.Note
	responder, err := programs.NewFastCGI(o)
	t.Cleanup(func() { responder.Close() })
	s.serve("/app/", responder, err)
	return s
}

// script starts a FastCGI application that, on each connection, sends one of these answers for each request, and closes
// the connection after the last answer.
func script(t *testing.T, answers ...string) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	return backendtest.Serve(t, func(_ int, c *net.TCPConn) {
		for _, answer := range answers {
			if _, err := c.Read(make([]byte, 64<<10)); err != nil {
				return
			}
			asked.Add(1)
			io.WriteString(c, answer)
		}
	}), asked
}

func record(kind, id byte, content string) string {
	return string([]byte{1, kind, 0, id, byte(len(content) >> 8), byte(len(content)), 0, 0}) + content
}

func TestInvalidFastCGIRecordsGet502(t *testing.T) {
	const head = "Content-Type: text/plain\r\n\r\n"
	end := record(3, 1, "\x00\x00\x00\x00\x00\x00\x00\x00")
	for name, c := range map[string]struct {
		answer string
		status int
		why    string
	}{
		"good":             {record(6, 1, head+"good") + end, 200, ""},
		"padding":          {"\x01\x06\x00\x01\x00\x1c\x03\x00" + head + "pad" + record(6, 1, "good") + end, 200, ""},
		"other id":         {record(6, 2, head+"x") + end, 502, "request 2"},
		"other type":       {record(10, 1, "x"), 502, "type 10"},
		"management":       {record(11, 0, "xxxxxxxx"), 502, "request 0"},
		"http":             {"HTTP/1.1 400 Bad Request\r\n\r\n", 502, "does not speak FastCGI"},
		"nothing":          {"", 502, "closed the connection"},
		"half a record":    {record(6, 1, head)[:12], 502, "closed the connection"},
		"short end":        {record(6, 1, head+"x") + record(3, 1, "x"), 200, "too short"},
		"end without head": {record(6, 1, "Content-Type: x\r\n") + end, 502, "within its header"},
		"only an end":      {end, 502, "no response"},
		"no field":         {record(6, 1, "nonsense\r\n\r\n") + end, 502, "invalid header line"},
		"overloaded":       {record(3, 1, "\x00\x00\x00\x00\x02\x00\x00\x00"), 503, ""},
		"cannot multiplex": {record(3, 1, "\x00\x00\x00\x00\x01\x00\x00\x00"), 502, "protocol status 1"},
		"an endless head":  {strings.Repeat(record(6, 1, "X-A: "+strings.Repeat("x", 30000)+"\n"), 5), 502, "exceeds"},
		"error and a state": {record(7, 1, "oh dear\n") + record(6, 1, head+"good") +
			record(3, 1, "\x00\x00\x00\x05\x00\x00\x00\x00"), 200, "oh dear"},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := script(t, c.answer)
			s := newFastCGISite(t, programs.FastCGIOptions{Address: address})
			a := s.get("/app/x", c.status)
			checktest.Truef(t, c.status != 200 || c.why == "too short" || a.Text == "good", "%q", a.Text)
			if c.why != "" {
				s.log.Says(t, c.why)
			}
			checktest.Truef(t, c.why != "too short" || a.Err != nil, "a broken response looks whole")
		})
	}
	s := newFastCGISite(t, programs.FastCGIOptions{Address: "unix:" + os.DevNull})
	s.get("/app/x", 502)
	s.log.Says(t, "connect")
}

func TestConnectionClosedByTheApplicationIsNotReused(t *testing.T) {
	good := record(6, 1, "Content-Type: text/plain\r\n\r\ngood") + record(3, 1, "\x00\x00\x00\x00\x00\x00\x00\x00")
	address, asked := script(t, good)
	s := newFastCGISite(t, programs.FastCGIOptions{Address: address, Idle: checktest.Patience})
	for range 20 {
		s.get("/app/x", 200)
	}
	checktest.Equalf(t, asked.Load(), 20, "requests")
	address, _ = script(t, good, "")
	s = newFastCGISite(t, programs.FastCGIOptions{Address: address, Idle: checktest.Patience})
	s.get("/app/x", 200)
	s.get("/app/x", 200)
	checktest.Equalf(t, s.ask("POST", "/app/x", "x").StatusCode, 502, "POST")
}

func TestInvalidFastCGIAddressesAreRejected(t *testing.T) {
	for _, address := range []string{"", "unix:", "9000", "localhost:", ":9000", "http://x:1/"} {
		_, err := programs.NewFastCGI(programs.FastCGIOptions{Address: address})
		checktest.Truef(t, err != nil, "%q is taken", address)
	}
}
