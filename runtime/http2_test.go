package runtime

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/conn/certtest"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// securedHTTP2 is a TLS configuration that offers HTTP/2.
func securedHTTP2() *tls.Config {
	c := serverTLS()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// http2Client returns a client that speaks HTTP/2, over TLS unless plain.
func http2Client(t testing.TB, plain bool) *http.Client {
	_, pool := certtest.Localhost()
	transport := &http2.Transport{TLSClientConfig: &tls.Config{ServerName: "localhost", RootCAs: pool}}
	if plain {
		transport.AllowHTTP = true
		transport.DialTLSContext = func(_ context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Responses of all kinds, and uploads, are the same over HTTP/1, HTTP/2 without TLS and with it, many at the same time.
func TestHTTP2Bodies(t *testing.T) {
	t.Parallel()
	large := string(pattern(3_000_000))
	mounts := append(tree(t, map[string]string{"small": "hello", "kept": string(pattern(50_000)), "file": large}), sites.Mount{Prefix: "/"})
	s := serve(t, Config{Sites: sites.Config{MaxBodySize: -1, H2C: true}}, newApp(true, func(c *call) {
		switch c.Path {
		case "/large":
			c.reply(200, large)
		case "/pieces":
			c.part(exchange.Part{First: true, File: -1, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte(large[:100])})
			for i := 100; i < 2_000_100; i += 20_000 {
				c.part(exchange.Part{File: -1, Body: []byte(large[i : i+20_000])})
			}
			c.part(exchange.Part{Last: true, File: -1})
		case "/version":
			c.reply(200, fmt.Sprintf("%q", c.Peer.Scheme))
		default:
			c.reply(200, fmt.Sprint(c.Size))
		}
	}), mounts...)
	addr := s.listenSecure(t)
	s.SetTLS(securedHTTP2())
	get := func(c *http.Client, url, body string, major int) string {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			return err.Error()
		}
		res, err := c.Do(req)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil || res.ProtoMajor != major {
			return fmt.Sprint(err, res.Proto)
		}
		return fmt.Sprint(res.StatusCode, res.ContentLength, " ", string(got))
	}
	over, plain := http2Client(t, false), http2Client(t, true)
	var all sync.WaitGroup
	for _, path := range []string{"/large", "/pieces", "/s/small", "/s/kept", "/s/file", "/s/none"} {
		want := get(http.DefaultClient, "http://"+s.addr+path, "", 1)
		for range 4 {
			all.Go(func() {
				if got := get(over, "https://"+addr+path, "", 2); got != want {
					t.Errorf("%s with TLS: %.100q, not %.100q", path, got, want)
				}
			})
			all.Go(func() {
				if got := get(plain, "http://"+s.addr+path, "", 2); got != want {
					t.Errorf("%s: %.100q, not %.100q", path, got, want)
				}
			})
		}
	}
	for c, url := range map[*http.Client]string{over: "https://" + addr, plain: "http://" + s.addr} {
		all.Go(func() {
			if got := get(c, url+"/upload", large, 2); got != fmt.Sprintf("200 7 %d", len(large)) {
				t.Error(got)
			}
		})
	}
	all.Wait()
	if got := get(over, "https://"+addr+"/version", "", 2); got != `200 7 "https"` {
		t.Error(got)
	}
	if got := bodies(t, talkSecure(t, addr, lastRequest)); got != "200:0" { // its client has not asked for HTTP/2
		t.Errorf("%q", got)
	}
}

// A client that leaves, or a handler that is too slow, ends one stream and no others.
func TestHTTP2Leaves(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	a := newApp(false, func(c *call) {
		if c.Path == "/waits" {
			<-c.gone
			close(gone)
		}
		c.reply(200, "done")
	})
	s := serve(t, Config{Sites: sites.Config{H2C: true}}, a)
	c := http2Client(t, true)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/waits", nil)
		_, err := c.Do(r)
		left <- err
	}()
	eventually(t, "the handler runs", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
	cancel()
	if err := <-left; err == nil {
		t.Error("an answer")
	}
	<-gone
	r, err := c.Get("http://" + s.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); string(text) != "done" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	eventually(t, "all exchanges end", func() bool { return a.idle() })
}

// A client that has chosen HTTP/2 and speaks something else is disconnected.
func TestHTTP2OverTLSWithoutPreface(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, func(c *call) { c.reply(200, "hello") }))
	addr := s.listenSecure(t)
	s.SetTLS(securedHTTP2())
	_, pool := certtest.Localhost()
	for _, text := range []string{lastRequest, http2.ClientPreface[:20] + "XXXX"} {
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", RootCAs: pool, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
			t.Error(got)
		}
		io.WriteString(c, text)
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("%q", got)
		}
		c.Close()
	}
}
