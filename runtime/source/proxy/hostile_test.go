package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/source/proxy"
)

// upstream starts a server that sends the pieces that answer returns, or closes the connection if answer returns none.
func upstream(t *testing.T, answer func(r *http.Request) []string) (url string, connections *atomic.Int64) {
	t.Helper()
	return server(t, func(c *net.TCPConn, in *bufio.Reader, request *http.Request) {
		for {
			pieces := answer(request)
			if len(pieces) == 0 {
				return
			}
			for i, piece := range pieces {
				if i > 0 {
					time.Sleep(time.Millisecond)
				}
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
			}
			var err error
			if request, err = http.ReadRequest(in); err != nil {
				return
			}
		}
	})
}

func get(t *testing.T, address, request string) (*http.Response, string) {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	a := backendtest.Ask(t, address, method, target, "")
	checktest.Equalf(t, a.Err, nil, "%s", request)
	return a.Response, a.Text
}

// The surplus bytes arrive together with the response, or later.
func TestBytesAfterAResponseNeverBecomeAnotherResponse(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, test := range []struct{ name, method, head string }{
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n"},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
		{"HEAD of length 0", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"204", "DELETE", "HTTP/1.1 204 No Content\r\nContent-Length: 46\r\n\r\n"},
		{"204 chunked", "DELETE", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"204 without a length", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304", "OPTIONS", "HTTP/1.1 304 Not Modified\r\n\r\n"},
		{"304 chunked", "OPTIONS", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"too long", "OPTIONS", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"too many chunks", "OPTIONS", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	} {
		// Late bytes can arrive when the next request already uses the connection. The proxy prevents this only if the
		// method or the head shows that bytes may follow.
		apart := test.method == "HEAD" || test.name == "204" || strings.Contains(test.name, "chunked")
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, _ := upstream(t, func(r *http.Request) []string {
				switch {
				case r.Method == "GET":
					return []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)}
				case apart && strings.HasSuffix(r.URL.Path, "1"):
					return []string{test.head, poison}
				}
				return []string{test.head + poison}
			})
			address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
			var wg sync.WaitGroup
			for client := range 8 {
				wg.Go(func() {
					for i := range 40 {
						path := fmt.Sprintf("/%d/%d", client, i)
						if i%2 == 1 {
							response, body := get(t, address, test.method+" "+path)
							checktest.Truef(t, !strings.Contains(body,
								"poison") && response.StatusCode < 500, "%s %s: %s %q", test.method, path, response.Status, body)
						} else if response, body := get(t, address, "GET "+path); body != path {
							t.Errorf("GET %s: %s %q", path, response.Status, body)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestConnectionWithAnUnsolicitedResponseIsNotReused(t *testing.T) {
	release, sent := make(chan struct{}), make(chan struct{})
	url, connections := server(t, func(c *net.TCPConn, in *bufio.Reader, request *http.Request) {
		for {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(request.URL.Path), request.URL.Path)
			if request.URL.Path == "/first" {
				<-release
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
				close(sent)
			}
			var err error
			if request, err = http.ReadRequest(in); err != nil {
				return
			}
		}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	_, body := get(t, address, "GET /first")
	checktest.Needf(t, body == "/first", "%s", body)
	close(release)
	<-sent
	for _, path := range []string{"/second", "/third"} {
		_, body := get(t, address, "POST "+path)
		checktest.Equal(t, body, path)
	}
	checktest.Equalf(t, connections.Load(), 2, "connections, one for the first request and one for the others")
}

func TestConnectionIsReusedAfterAResponseWithoutABody(t *testing.T) {
	url, connections := upstream(t, func(r *http.Request) []string {
		switch r.URL.Path {
		case "/204":
			return []string{"HTTP/1.1 204 No Content\r\n\r\n"}
		case "/304":
			return []string{"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n"}
		case "/chunked":
			return []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "0\r\n\r\n"}
		}
		io.Copy(io.Discard, r.Body)
		return []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for range 3 {
		for _, request := range []string{"GET /204", "GET /304", "GET /chunked", "GET /", "DELETE /", "POST /"} {
			response, _ := get(t, address, request)
			checktest.Truef(t, response.StatusCode < 400, "%s: %s", request, response.Status)
		}
		talk(t, address, "POST / HTTP/1.0\r\nContent-Length: 300000\r\n\r\n"+strings.Repeat("x", 300000))
	}
	checktest.Equalf(t, connections.Load(), 1, "connections")
}

// askAtOnce sends requests of several clients, which each keep a connection.
func askAtOnce(t *testing.T, address string, clients, requests int) {
	var running sync.WaitGroup
	for range clients {
		time.Sleep(time.Millisecond) // the upstream accepts in the order of the clients
		running.Go(func() {
			c := backendtest.Dial(t, address)
			defer c.Close()
			in := bufio.NewReader(c)
			for range requests {
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				response, err := http.ReadResponse(in, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
				}
				checktest.Equal(t, err, nil)
			}
		})
	}
	running.Wait()
}

// A connection that stays open occupies the only process of the upstream.
func TestConnectionsGiveTheirPlaceToThoseThatWait(t *testing.T) {
	var process sync.Mutex
	url, _ := server(t, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
		process.Lock()
		defer process.Unlock()
		for err := error(nil); err == nil; _, err = http.ReadRequest(in) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	askAtOnce(t, address, 4, 5)
}

// The upstream accepts all connections, but answers one request at a time, in order. Its connections wait for longer than
// those of an upstream whose processes are occupied by idle connections, but none of them needs the place of another one.
func TestConnectionsOfABusyUpstreamAreReused(t *testing.T) {
	turns := make(chan chan struct{}, 64)
	go func() {
		for turn := range turns {
			time.Sleep(3 * time.Millisecond)
			close(turn)
		}
	}()
	url, connections := upstream(t, func(*http.Request) []string {
		turn := make(chan struct{})
		turns <- turn
		<-turn
		return []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	askAtOnce(t, address, 16, 12)
	close(turns)
	checktest.Truef(t, connections.Load() < 64, "%d connections for 192 requests of 16 clients", connections.Load())
}

func TestUpstreamMayRespondBeforeItHasReadTheBody(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		c.CloseWrite()
		// Read the body, because unread bytes would cause a reset of the connection.
		io.Copy(io.Discard, io.LimitReader(c, 1<<20))
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for range 3 {
		got := talk(t, address, "POST / HTTP/1.0\r\nContent-Length: 8000000\r\n\r\n"+strings.Repeat("x", 8000000))
		checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 413 ") && strings.HasSuffix(got, "big"), "%.200q", got)
	}
}

// The upstream closes a reused connection before it responds.
func TestOnlySafeRequestsAreRetriedOnAClosedConnection(t *testing.T) {
	for method, want := range map[string]int{"GET": 200, "POST": 502, "DELETE": 502} {
		var seen atomic.Int64
		url, _ := upstream(t, func(r *http.Request) []string {
			if r.URL.Path == "/second" && seen.Add(1) == 1 {
				return nil
			}
			return []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
		get(t, address, "GET /first")
		response, _ := get(t, address, method+" /second")
		checktest.Equalf(t, response.StatusCode, want, "%s: %s", method, response.Status)
		n, want := seen.Load(), map[int]int64{200: 2, 502: 1}[want]
		checktest.Equalf(t, n, want, "times that %s reached the upstream", method)
	}
}

// A wrong response on a reused connection is not a connection that was closed meanwhile.
func TestRequestWithAWrongResponseIsNotSentAgain(t *testing.T) {
	var seen atomic.Int64
	url, _ := upstream(t, func(r *http.Request) []string {
		if r.URL.Path == "/second" {
			seen.Add(1)
			return []string{"HTTP/1.1 101 Switching Protocols\r\n\r\n"}
		}
		return []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
	})
	address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
	get(t, address, "GET /first")
	response, _ := get(t, address, "GET /second")
	checktest.Equal(t, response.StatusCode, 502)
	checktest.Equalf(t, seen.Load(), 1, "requests")
	logged.Says(t, "status 101")
}

// White space before the colon is removed, but if the field affects framing, the response is rejected (RFC 9112 §5.1).
func TestWhiteSpaceBeforeAColonIsRemovedOrRejected(t *testing.T) {
	for _, test := range []struct{ fields, want string }{
		{"X-A : b\r\nContent-Length: 2\r\n", "X-A: b\r\n"},
		{"X-a  : 1\r\nX-A: 2\r\nContent-Length: 2\r\n", "X-a: 1\r\nX-A: 2\r\n"},
		{"Keep-Alive : 5\r\nContent-Length: 2\r\n", "HTTP/1.1 200 "},
		{"Content-Length : 2\r\n", "HTTP/1.1 502 "},
		{"Transfer-Encoding : chunked\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{"Connection : X-A\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{"X A: b\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{"X-A\t: b\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{" X-A: b\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{": b\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
		{"X(A): b\r\nContent-Length: 2\r\n", "HTTP/1.1 502 "},
	} {
		url, _ := upstream(t, func(*http.Request) []string {
			return []string{"HTTP/1.1 200 OK\r\n" + test.fields + "\r\nok"}
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
		head, _, _ := strings.Cut(talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "\r\n\r\n")
		checktest.Truef(t, strings.Contains(head+"\r\n", test.want) && !strings.Contains(head, " :") &&
			!strings.Contains(head, "Keep-Alive"), "%q: %q, want %q", test.fields, head, test.want)
	}
}

// The proxy removes each field that a Connection field names, in upper or lower case (RFC 9110 §7.6.1). The proxy
// forwards all other fields.
func TestFieldsNamedByConnectionAreNotForwarded(t *testing.T) {
	for _, fields := range []string{
		"Connection: X-Hop\r\n",
		"Connection: close, X-Hop\r\n",
		"Connection: X-Hop, close\r\n",
		"Connection: close\r\nConnection: X-Hop\r\n",
		"CONNECTION:x-hop ,close\r\n",
		"Connection: close,\r\n X-Hop\r\n",
		"Connection:\r\n\tclose,\r\n\tX-Hop\r\n",
		"Connection: close\nConnection: X-Hop\n",
		"X-Long: " + strings.Repeat("x", 60<<10) + "\r\nConnection: close, X-Hop\r\n",
	} {
		for _, status := range []string{"HTTP/1.1 200 OK", "HTTP/1.0 200 OK",
			"HTTP/1.1 103 Early Hints\r\nX-Hop: 0\r\n" + fields + "\r\nHTTP/1.1 200 OK"} {
			url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				io.WriteString(c, status+"\r\nX-Hop: 1\r\n"+fields+"X-End: 2\r\nContent-Length: 2\r\n\r\nok")
			})
			address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
			got := talk(t, address, fromBrowser)
			checktest.Truef(t, !strings.Contains(got, "X-Hop: ") && strings.Contains(got, "X-End: 2\r\n") &&
				strings.HasSuffix(got, "\r\n\r\nok"), "%.99q, %.99q: %.999q", status, fields, got)
		}
	}
}

const fromBrowser = "GET / HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n"

func TestOnlyTheUsualFieldsAndNumberOfEarlyHintsOfAnUpstreamAreForwarded(t *testing.T) {
	link := func(i int) string { return fmt.Sprintf("Link: </%d.css>\r\n", i) }
	hints := "HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nX-Other: 1\r\nContent-Security-Policy: default-src 'self'\r\n"
	for i := range 10 {
		hints += link(i)
	}
	again := "HTTP/1.1 103 Early Hints\r\nLink: </large" + strings.Repeat("x", 8<<10) + ">\r\n"
	for i := range 10 {
		again += link(10 + i)
	}
	none := "HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\n"
	other := "HTTP/1.1 102 Processing\r\nSet-Cookie: a=b\r\nX-Other: 1\r\n\r\n"
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, hints+"\r\n"+again+"\r\n"+none+other+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	got := talk(t, address, fromBrowser)
	heads := strings.Split(got, "\r\n\r\n")
	checktest.Needf(t, len(heads) == 5, "%q", got)
	checktest.Truef(t, strings.Count(heads[0], "Link: ") == 10 && strings.Count(heads[1], "Link: ") == 6, "%q", got)
	checktest.Truef(t, strings.Contains(heads[0], "Content-Security-Policy: ") && !strings.Contains(heads[0], "X-Other"),
		"%q", heads[0])
	checktest.Truef(t, !strings.Contains(got, "Set-Cookie") && !strings.Contains(got, "large"), "%q", got)
	checktest.Truef(t, strings.HasPrefix(heads[2], "HTTP/1.1 102 ") && strings.Contains(heads[2], "X-Other: 1"), "%q", heads[2])
	checktest.Truef(t, strings.HasPrefix(heads[3], "HTTP/1.1 200 ") && heads[4] == "ok", "%q", got)
}

// After an interim response with a length or a transfer coding, the upstream and the server could disagree on where the
// final response begins.
func TestInterimResponsesThatFrameABodyAreRefused(t *testing.T) {
	const second = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
	for _, fields := range []string{
		fmt.Sprintf("Content-Length: %d\r\n", len(second)),
		"Content-Length: 0\r\n",
		"Content-Length : 5\r\n",
		"Transfer-Encoding: chunked\r\n",
		"transfer-encoding:chunked\r\nLink: </a>\r\n",
		"Transfer-Encoding : chunked\r\n",
	} {
		for _, status := range []string{"103 Early Hints", "102 Processing", "100 Continue"} {
			url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				io.WriteString(c, "HTTP/1.1 "+status+"\r\n"+fields+"\r\n"+second)
			})
			address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
			got := talk(t, address, fromBrowser)
			checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 502 ") && !strings.Contains(got, "wrong"), "%s %q: %q", status,
				fields, got)
			checktest.Has(t, logged.String(), "malformed field")
		}
	}
}

func TestViaNamesThisServerAfterExistingEntries(t *testing.T) {
	url, _ := upstream(t, func(r *http.Request) []string {
		via := strings.Join(r.Header["Via"], "|")
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nContent-Length: %d\r\n\r\n%s", len(via), via)
		if r.URL.Path == "/old" {
			answer = strings.Replace(answer, "HTTP/1.1", "HTTP/1.0", 1)
		}
		return []string{answer}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for _, test := range []struct{ request, body, via string }{
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "1.1 fapws", "Via: 1.1 inner\r\nVia: 1.1 fapws\r\n"},
		{"GET /old HTTP/1.0\r\nVia: 1.1 outer\r\n\r\n", "1.1 outer|1.0 fapws", "Via: 1.1 inner\r\nVia: 1.0 fapws\r\n"},
	} {
		head, body, _ := strings.Cut(talk(t, address, test.request), "\r\n\r\n")
		checktest.Truef(t, body == test.body && strings.Contains(head+"\r\n", test.via),
			"%q: %q, %q", test.request, head, body)
	}
}

func TestPathCannotLeaveTheDirectoryOfTheUpstream(t *testing.T) {
	url, _ := upstream(t, func(r *http.Request) []string {
		return []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.RequestURI), r.RequestURI)}
	})
	for _, o := range []struct{ prefix, target string }{{"/base/", url + "/in/"}, {"/base", url + "/in"},
		{"/base/", url}, {"/", url}} {
		address, _ := front(t, o.prefix, proxy.Options{Targets: []string{o.target}})
		for _, path := range []string{
			"..", "../secret", "%2e%2e/secret", ".%2E/secret", "..%2fsecret", "x/../../secret", "x/..%2f..%2fsecret",
			"..%5csecret", "x%5C..%5C..%5Csecret",
			"..;/secret", "..;x=y/secret", "..%3b/secret", "..%3fx", "..%23x", "%252e%252e/secret", "..%252fsecret",
			"%252e%252e%255csecret",
		} {
			response, body := get(t, address, "GET /base/"+path)
			if body := strings.ToLower(body); response.StatusCode == 200 && (strings.Contains(body, "..") ||
				strings.Contains(body, "%2e") || strings.Contains(body, "%252e")) {
				t.Errorf("%s to %s: /base/%s reached the upstream as %s", o.prefix, o.target, path, body)
			} else if response.StatusCode != 200 && response.StatusCode != 400 && response.StatusCode != 404 {
				t.Errorf("%s to %s: /base/%s: %s", o.prefix, o.target, path, response.Status)
			}
		}
		for _, path := range []string{"a..b", "..a/b", "a/b..", "...", ".../x", "a%2fb", "@scope%2fname", "x;v=1.2",
			"%25", "a%20b", ".well-known/x"} {
			if response, body := get(t, address, "GET /base/"+path); response.StatusCode != 200 {
				t.Errorf("%s to %s: /base/%s: %s %s", o.prefix, o.target, path, response.Status, body)
			}
		}
	}
}

// Records without application data do not prevent the reuse of a connection, but surplus bytes do, even if they are
// only in the buffer of the TLS client.
func TestTLSConnectionsAreReusedUnlessBytesAreLeft(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cert, _ := certificate(t, "localhost", time.Now().Add(time.Hour))
		var connections atomic.Int64
		target := backendtest.Serve(t, func(_ int, below *net.TCPConn) {
			c := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version})
			connections.Add(1)
			for in := bufio.NewReader(c); ; {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)
				switch r.Method {
				case "OPTIONS":
					answer += poison
				}
				io.WriteString(c, answer)
			}
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{"https://" + target}, NoVerify: true})
		for i := range 10 {
			path := fmt.Sprintf("/%d", i)
			_, body := get(t, address, "GET "+path)
			checktest.Equal(t, body, path)
		}
		checktest.Equalf(t, connections.Load(), 1, "TLS version %x: connections", version)
		for i := range 10 {
			path := fmt.Sprintf("/%d", i)
			for _, method := range []string{"OPTIONS", "GET"} {
				_, body := get(t, address, method+" "+path)
				checktest.Equalf(t, body, path, "%s", method)
			}
		}
		checktest.Equalf(t, connections.Load(), 11, "TLS version %x: connections", version)
	}
}
