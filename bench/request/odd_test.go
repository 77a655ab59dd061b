package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
)

func repeat(c net.Conn, b string) {
	many := strings.Repeat(b, 1<<18/len(b))
	for {
		if _, err := io.WriteString(c, many); err != nil {
			return
		}
	}
}

func http2Server(t *testing.T, answer func(f *http2.Framer, stream uint32) error) (address string) {
	return backendtest.Serve(t, func(_ int, c *net.TCPConn) {
		f := http2.NewFramer(c, c)
		_, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		err = errors.Join(err, f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2}))
		for err == nil {
			var got http2.Frame
			switch got, err = f.ReadFrame(); got := got.(type) {
			case *http2.PingFrame:
				err = f.WritePing(true, got.Data)
			case *http2.HeadersFrame:
				err = answer(f, got.StreamID)
			}
		}
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c) // unread bytes would cause a reset
	})
}

func TestGeneratorEndsEvenIfResponsesDoNot(t *testing.T) {
	for _, c := range []struct{ name, head, rest, flag, reason string }{
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nmore\r\n", "-t=1", "timed out"},
		{"body", "HTTP/1.0 200 OK\r\n\r\n", "more", "-t=1", "timed out"},
		{"interim responses", "", "HTTP/1.1 100 Continue\r\n\r\n", "-t=1", "timed out"},
		{"a head", "HTTP/1.1 200 OK\r\n", "X-More: more\r\n", "-t=1", "the head of a response is too long"},
		{"a chunk's size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0", "-t=1",
			"the chunks of a response are malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := backendtest.Serve(t, func(_ int, conn *net.TCPConn) {
				_, _ = conn.Read(make([]byte, 1000))
				_, _ = io.WriteString(conn, c.head)
				repeat(conn, c.rest)
			})
			timeout := "1"
			if c.reason != "timed out" {
				timeout = "60"
			}
			r := run(t, "-n", "1", c.flag, "--timeout", timeout, "http://"+address)
			checktest.Truef(t, r.failures[c.reason] == 1 && r.finished == 0 && r.Failed(),
				"%d responses, %v", r.finished, r.failures)
		})
	}
}

func TestUnansweredAndRejectedRequestsFail(t *testing.T) {
	silent := backendtest.Serve(t, func(_ int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	answers := map[string]func(f *http2.Framer, stream uint32) error{
		"closing": func(*http2.Framer, uint32) error { return io.EOF },
		// A GOAWAY with the stream ID 0 means that the server has processed no request.
		"leaving": func(f *http2.Framer, _ uint32) error { return cmp.Or(f.WriteGoAway(0, http2.ErrCodeNo, nil), io.EOF) },
		"calm": func(f *http2.Framer, id uint32) error {
			return cmp.Or(f.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, nil), io.EOF)
		},
		"reset":  func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"silent": func(*http2.Framer, uint32) error { return nil },
		"pings": func(f *http2.Framer, _ uint32) (err error) {
			for err == nil {
				err = f.WritePing(false, [8]byte{})
			}
			return err
		},
		"settings": func(f *http2.Framer, _ uint32) (err error) {
			for err == nil {
				err = f.WriteSettings()
			}
			return err
		},
	}
	http2 := func(name string) string { return http2Server(t, answers[name]) }
	for _, c := range []struct{ name, address, flag, reason string }{
		{"silent", silent, "-t=1", "timed out"},
		{"silent, HTTP/2", http2("silent"), "--http2", "timed out"},
		{"pings", http2("pings"), "--http2", "timed out"},
		{"settings", http2("settings"), "--http2", "timed out"},
		{"leaving", http2("leaving"), "--http2", errRefused.Error()},
		{"closing", http2("closing"), "--http2", "closed before the response"},
		{"calm", http2("calm"), "--http2", "the server has ended the connection: ENHANCE_YOUR_CALM"},
		{"reset", http2("reset"), "--http2", "reset: REFUSED_STREAM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timeout := "1"
			if c.name == "leaving" {
				timeout = "60"
			}
			r := run(t, "-n", "2", "-c", "1", "--timeout", timeout, c.flag, "http://"+c.address)
			checktest.Truef(t, r.failures[c.reason] == 2 && r.Failed(), "%v, %v", r.failures, r.refused)
			var text, object bytes.Buffer
			r.WriteText(&text)
			checktest.Has(t, text.String(), "\nFailed     ")
			err := r.WriteJSON(&object)
			checktest.Truef(t, err == nil && json.Valid(object.Bytes()), "%v %s", err, object.String())
		})
	}
}

func TestWrongCertificateIsRejectedWithAReason(t *testing.T) {
	s := serve(t, true, func(http.ResponseWriter, *http.Request) {})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	checktest.Must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{s.URL}, "unknown authority; see --cacert and --insecure"},
		{[]string{"--cacert", ca, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)},
			"not localhost; see --cacert and --insecure"},
		{[]string{strings.Replace(serve(t, false, nil).URL, "http", "https", 1)},
			"the server does not speak TLS; use http://"},
		{[]string{"--http2", raw(t, "HTTP/1.1 400 Bad Request\r\n\r\n")}, "the server does not speak HTTP/2"},
		{[]string{"--http2", "-k", httptest.NewTLSServer(nil).URL}, "no application protocol"},
	} {
		_, err := Run(context.Background(), checktest.Try(ParseArgs(append(c.args, "-n", "1"), io.Discard)).Must(t))
		checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), c.want), "%v instead of %q", err, c.want)
	}
	// net/http responds with 400 to HTTP on a TLS port
	answers(t, run(t, "-n", "1", strings.Replace(s.URL, "https", "http", 1)), 1, 400)
}

func TestAddressThatAcceptsConnectionsIsUsed(t *testing.T) {
	s := serve(t, false, func(http.ResponseWriter, *http.Request) {})
	answers(t, run(t, "-n", "3", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)), 3, 200)
}
