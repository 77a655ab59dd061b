package runtime

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

// How a response is framed depends on what the handler knows and on the
// request; want is what follows Server and Date.
func TestFraming(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.css")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := func(s string) exchange.Part { return exchange.Part{File: -1, Body: []byte(s)} }
	head := func(h exchange.Head, p exchange.Part) exchange.Part { p.Head = h; return p }
	last := func(p exchange.Part) exchange.Part { p.Last = true; return p }
	failed := func(p exchange.Part) exchange.Part { p.Last, p.Failed = true, true; return p }
	send := func(parts ...exchange.Part) func(*call) {
		return func(c *call) {
			for _, p := range parts {
				c.part(p)
			}
		}
	}
	file := func(count int64) func(*call) {
		return func(c *call) { c.file(path, 2, count) }
	}
	big := strings.Repeat("0123456789abcdef", 4096)
	ok, unknown, ten := exchange.Head{Status: 200}, exchange.Head{Status: 200, Length: -1}, exchange.Head{Status: 200, Length: 10}
	const get11, get10 = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"
	const head11, keep10 = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	for _, test := range []struct {
		name    string
		app     func(*call)
		request string
		want    string
		closes  bool
	}{
		{"known", send(last(head(ten, body("0123456789")))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"known in two parts", send(head(ten, body("01234")), last(body("56789"))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"known, empty last", send(head(ten, body("0123456789")), last(body(""))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"whole but unknown", send(last(head(unknown, body("0123456789")))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"unknown", send(head(unknown, body("abc")), body("defghijklmnopqrst"), last(body(""))), get11,
			"200 OK|Transfer-Encoding: chunked|3\r\nabc\r\n11\r\ndefghijklmnopqrst\r\n0\r\n\r\n", false},
		{"unknown, last with bytes", send(head(unknown, body("abc")), last(body("de"))), get11,
			"200 OK|Transfer-Encoding: chunked|3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false},
		{"an empty part is no last chunk", send(head(unknown, body("")), body(""), last(body("de"))), get11,
			"200 OK|Transfer-Encoding: chunked|2\r\nde\r\n0\r\n\r\n", false},
		{"unknown on 1.0", send(head(unknown, body("abc")), last(body("de"))), keep10, "200 OK|Connection: close|abcde", true},
		{"unknown but whole on 1.0", send(last(head(unknown, body("abc")))), keep10, "200 OK|Content-Length: 3|Connection: keep-alive|abc", false},
		{"1.0", send(last(head(ten, body("0123456789")))), get10, "200 OK|Content-Length: 10|Connection: close|0123456789", true},
		{"HEAD", send(last(head(ten, body("0123456789")))), head11, "200 OK|Content-Length: 10|", false},
		{"HEAD without a body to count", send(last(head(unknown, body("")))), head11, "200 OK|Transfer-Encoding: chunked|", false},
		{"HEAD of a stream", send(head(unknown, body("abc")), last(body("de"))), head11, "200 OK|Transfer-Encoding: chunked|", false},
		{"HEAD of a large body", send(last(head(unknown, body(big)))), head11, "200 OK|Content-Length: 65536|", false},
		{"HEAD of a file", file(5), head11, "200 OK|Content-Type: text/css; charset=utf-8|Content-Length: 5|", false},
		{"304", send(last(head(exchange.Head{Status: 304, Length: 10}, body("0123456789")))), get11, "304 Not Modified||", false},
		{"204", send(last(head(exchange.Head{Status: 204}, body("0123456789")))), get11, "204 No Content||", false},
		{"no final status", send(last(head(exchange.Head{Status: 101}, body("")))), get11, "101 Switching Protocols|Connection: close|", true},
		{"impossible status", send(last(head(exchange.Head{Status: 7}, body("x")))), get11, "500 Internal Server Error|Content-Length: 0|", false},
		{"reason and fields", send(last(head(exchange.Head{Status: 299, Reason: []byte("Fine"), Fields: []byte("A: b\r\n"), Type: "application/json", Length: 2}, body("{}")))), get11,
			"299 Fine|A: b|Content-Type: application/json|Content-Length: 2|{}", false},
		{"asked to close", send(last(head(exchange.Head{Status: 200, Close: true}, body("")))), get11, "200 OK|Content-Length: 0|Connection: close|", true},
		{"too short", send(last(head(ten, body("01234")))), get11, "200 OK|Content-Length: 10|01234", true},
		{"too long", send(last(head(ten, body("0123456789xyz")))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"too long in parts", send(head(ten, body("0123456789")), body("xyz"), last(body("xyz"))), get11, "200 OK|Content-Length: 10|0123456789", false},
		{"too long for none", send(last(head(ok, body("x")))), get11, "200 OK|Content-Length: 0|", false},
		{"broke off, known", send(head(ten, body("012")), failed(body(""))), get11, "200 OK|Content-Length: 10|012", true},
		{"broke off, chunked", send(head(unknown, body("012")), failed(body(""))), get11, "200 OK|Transfer-Encoding: chunked|3\r\n012\r\n", true},
		{"file", file(5), get11, "200 OK|Content-Type: text/css; charset=utf-8|Content-Length: 5|23456", false},
		{"file is shorter", file(50), get11, "200 OK|Content-Type: text/css; charset=utf-8|Content-Length: 50|23456789", true},
		{"large", send(last(head(unknown, body(big)))), get11, "200 OK|Content-Length: 65536|" + big, false},
		{"large chunk", send(head(unknown, body(big)), last(body(big))), get11,
			"200 OK|Transfer-Encoding: chunked|10000\r\n" + big + "\r\n10000\r\n" + big + "\r\n0\r\n\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			modes(t, func(t *testing.T, inline bool) {
				a := newApp(inline, func(c *call) {
					if c.Path == "/end" {
						c.reply(200, "")
						return
					}
					test.app(c)
				})
				s := serve(t, Config{}, a)
				const next = "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
				got := s.talk(t, test.request+next)
				got, second, _ := strings.Cut(got, "HTTP/1.1 200 OK\r\nServer: fapws\r\nDate: ")
				if got == "" {
					got, second, _ = strings.Cut(second, "HTTP/1.1 200 OK\r\nServer: fapws\r\nDate: ")
					got = "HTTP/1.1 200 OK\r\nServer: fapws\r\nDate: " + got
				}
				if closed := second == ""; closed != test.closes {
					t.Errorf("closes: %v, want %v", closed, test.closes)
				}
				h, body, _ := strings.Cut(got, "\r\n\r\n")
				lines := strings.Split(h, "\r\n")
				kept := []string{strings.TrimPrefix(lines[0], "HTTP/1.1 ")}
				for _, line := range lines[1:] {
					if !strings.HasPrefix(line, "Server: ") && !strings.HasPrefix(line, "Date: ") {
						kept = append(kept, line)
					}
				}
				if len(kept) == 1 {
					kept = append(kept, "")
				}
				if got := strings.Join(append(kept, body), "|"); got != test.want {
					t.Errorf("got  %.300q\nwant %.300q", got, test.want)
				}
				eventually(t, "all released", a.idle)
			})
		})
	}
}

// A body that ends with the connection must not look whole when it broke off.
func TestBrokenBodyUntilCloseIsReset(t *testing.T) {
	t.Parallel()
	a := newApp(true, func(c *call) {
		c.part(exchange.Part{File: -1, Body: []byte("abc"), Head: exchange.Head{Status: 200, Length: -1}})
		c.part(exchange.Part{File: -1, Last: true, Failed: true})
	})
	s := serve(t, Config{}, a)
	c := s.dial(t)
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if all, err := io.ReadAll(c); err == nil {
		t.Errorf("%q looks whole", all)
	}
}
