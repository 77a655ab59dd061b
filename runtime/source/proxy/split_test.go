package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/system"
)

// A scripted upstream sends the pieces of an element of scripts over each connection that Options.Dial opens.
type scripted struct {
	t       *testing.T
	scripts chan [2]string
}

func (s *scripted) dial(done func(fd int, err error)) {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		done(-1, err)
		return
	}
	unix.SetNonblock(fds[1], false)
	go func() {
		defer unix.Close(fds[1])
		for head := []byte(nil); !bytes.Contains(head, []byte("\r\n\r\n")); {
			b := make([]byte, 4<<10)
			n, err := unix.Read(fds[1], b)
			if n <= 0 || err != nil {
				return
			}
			head = append(head, b[:n]...)
		}
		for _, piece := range <-s.scripts {
			s.send(fds[1], piece)
		}
	}()
	done(fds[0], nil)
}

// send writes text, and returns when the proxy has read it.
func (s *scripted) send(fd int, text string) {
	if text == "" {
		return
	}
	if _, err := unix.SendmsgN(fd, []byte(text), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Microsecond) {
		if left, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil || left == 0 {
			return
		}
	}
	s.t.Error("the proxy does not read")
}

func openFiles(t *testing.T) int {
	t.Helper()
	return len(checktest.Try(os.ReadDir("/proc/self/fd")).Must(t))
}

// Each response arrives in two pieces, split at every byte, or ends at this byte. The client must get the whole response, or
// see that it is incomplete. Nothing of the proxy remains.
func TestResponseIsForwardedWhereverItIsSplit(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for name, text := range map[string]string{
		"length":   "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
		"chunked":  "HTTP/1.1 200 OK\r\n" + chunked + "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		"trailers": "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n" + chunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"interim":  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 200 OK\nContent-Length: 5\n\nhello",
		"folded":   "HTTP/1.1 200 OK\r\nX-A : b,\r\n c\r\nContent-Length: 5\r\n\r\nhello",
		"empty":    "HTTP/1.1 204 No Content\r\n\r\n",
		"until":    "HTTP/1.1 200 OK\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{t: t, scripts: make(chan [2]string, 1)}
			address, logged := front(t, "/", proxy.Options{Targets: []string{"unix:/scripted"}, Dial: s.dial})
			ask := func(one, two string) (head, body string, status int, err error) {
				s.scripts <- [2]string{one, two}
				raw := talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n")
				response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
				checktest.Mustf(t, err, "%q", raw)
				got, err := io.ReadAll(response.Body)
				before, after, _ := strings.Cut(raw[:strings.Index(raw, "\r\n\r\n")], "Date: ")
				return before + after[len("Mon, 02 Jan 2006 15:04:05 GMT"):], string(got) + response.Trailer.Get("X-Sum"),
					response.StatusCode, err
			}
			want, wantBody, _, err := ask(text, "")
			checktest.Mustf(t, err, "%s", want)
			before := openFiles(t)
			for cut := 1; cut < len(text); cut++ {
				got, body, _, err := ask(text[:cut], text[cut:])
				checktest.Truef(t, err == nil && got == want && body == wantBody, "split after %q: %q %q, %v", text[:cut], got, body, err)
				got, body, status, err := ask(text[:cut], "")
				complete := name == "until" && cut > strings.Index(text, "\r\n\r\n")+3
				checktest.Truef(t, status == 502 || err != nil || complete, "ends after %q: %q %q", text[:cut], got, body)
			}
			checktest.Lacks(t, logged.String(), "bug")
			checktest.Eventually(t, "the descriptors are closed", func() bool { return openFiles(t) <= before })
		})
	}
}

// FuzzUpstream sends arbitrary bytes to the proxy, in two pieces. The client must get exactly one response head, or none
// after a response was aborted, and the proxy must answer the next request.
func FuzzUpstream(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", "HTTP/1.0 304 X\n\n",
		"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"} {
		for _, at := range []uint8{0, 9, 40} {
			f.Add([]byte(text), at)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint8) {
		s, cut := &scripted{t: t, scripts: make(chan [2]string, 2)}, min(int(at), len(text))
		s.scripts <- [2]string{string(text[:cut]), string(text[cut:])}
		s.scripts <- [2]string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
		address, logged := front(t, "/", proxy.Options{Targets: []string{"unix:/scripted"}, Dial: s.dial})
		for _, bad := range []bool{true, false} {
			got := talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 ") && (bad || strings.HasSuffix(got, "\r\n\r\nok")),
				"%s", fmt.Sprintf("%q: %.300q", text, got))
		}
		checktest.Lacks(t, logged.String(), "bug")
	})
}
