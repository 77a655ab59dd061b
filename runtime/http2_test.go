package runtime

import (
	"crypto/tls"
	"io"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/conn/certtest"
)

// securedHTTP2 is a TLS configuration that offers HTTP/2.
func securedHTTP2() *tls.Config {
	c := serverTLS()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// A client that has chosen HTTP/2 and speaks something else is disconnected.
func TestHTTP2OverTLSWithoutPreface(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	addr := s.listenSecure(t)
	s.SetTLS(securedHTTP2())
	_, pool := certtest.Localhost()
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", http2.ClientPreface[:20] + "oops"} {
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
