package runtime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

var mixture = []string{
	"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096),
	"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET /nowhere\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}

// FuzzConnection sends arbitrary data in two packets, and checks that the server sends only complete responses before
// it closes the connection.
func FuzzConnection(f *testing.F) {
	for _, m := range mixture {
		f.Add([]byte(m), uint16(20))
		f.Add([]byte(m+m), uint16(len(m)+5))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\nGET * HTTP/1.1\r\n"), uint16(3))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"), uint16(70))
	s := serve(f, Config{Sites: exchange.Config{MaxBodySize: 10000, SpoolSize: 1000, HeadTimeout: time.Second,
		BodyTimeout: time.Second}})
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		c := s.dial(t)
		defer c.Close()
		c.SetNoDelay(true)
		k := min(int(cut), len(data))
		c.Write(data[:k])
		c.Write(data[k:])
		c.CloseWrite()
		all, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, unix.ECONNRESET) {
			var timeout net.Error
			checktest.Needf(t, !errors.As(err, &timeout) || !timeout.Timeout(), "no end after %.200q", all)
		}
		// The test cannot find the end of a response to HEAD, or of a stream over HTTP/1.0.
		if !bytes.Contains(data, []byte("HEAD")) {
			checkResponses(t, all)
		}
		text := s.log.String()
		checktest.Needf(t, !strings.Contains(text, "bug:") || bytes.Contains(data, []byte("/panic")), "%s", text)
		eventually(t, "no exchange is left", func() (idle bool) {
			s.do(func() { idle = s.loop.sites.Active() == 0 && s.loop.app.Idle() })
			return idle
		})
	})
}

func checkResponses(t *testing.T, all []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(all))
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		resp, err := http.ReadResponse(r, nil)
		checktest.Mustf(t, err, "in %.300q", all)
		_, err = io.Copy(io.Discard, resp.Body)
		checktest.Mustf(t, err, "body: in %.300q", all)
	}
}
