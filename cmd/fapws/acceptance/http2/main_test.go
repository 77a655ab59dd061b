//lint:file-ignore SA1019 net/http's client does not send extended CONNECT (RFC 8441)

// Package http2_test checks HTTP/2 connections, with clients that share no code with the server.
package http2_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }

func serve(t *testing.T, m fapwstest.Mode, script string, flags ...string) *fapwstest.Server {
	return fapwstest.Serve(t, m, script, append([]string{"--h2c"}, flags...)...)
}

func serveTLS(t *testing.T, m fapwstest.Mode, script string, flags ...string) *fapwstest.Server {
	t.Helper()
	certificate, key := certtest.NewAuthority(t).For("localhost", "127.0.0.1").Write(t.TempDir())
	c := fapwstest.Command{Script: script}
	c.Flags = slices.Concat([]string{"--bind", "https://127.0.0.1:0", "--certfile", certificate, "--keyfile", key},
		m.Flags, flags)
	s := c.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	s.URL = "https://" + s.Address
	return s
}

func client(t *testing.T) *http.Client {
	transport := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// fields contains names and values, in turn.
func send(t *testing.T, c *http.Client, method, url string, body io.Reader, fields ...string) *http.Response {
	t.Helper()
	r := fapwstest.Try(http.NewRequest(method, url, body)).Must(t)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.Do(r)
	fapwstest.Mustf(t, err, "%s %s", method, url)
	return response
}

func ask(t *testing.T, c *http.Client, method, url string, body io.Reader, fields ...string) *fapwstest.Answer {
	t.Helper()
	response := send(t, c, method, url, body, fields...)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	fapwstest.Mustf(t, err, "%s %s", method, url)
	fapwstest.Equalf(t, response.ProtoMajor, 2, "%s %s: %s", method, url, response.Proto)
	return &fapwstest.Answer{Response: response, Text: string(text)}
}
