// Command baregnet is a gnet server with one loop. The benchmarks use its speed as the upper limit for fapws. baregnet
// looks only for the end of the request head and for Content-Length, and sends fixed responses. It sends the responses
// to pipelined requests in one write.
//
// Usage: baregnet ADDRESS [CERTIFICATE KEY]
package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// The responses have the same fields and bodies as those of fapws for bench/apps/app.py, so both servers write the same
// number of bytes.
const (
	common = "HTTP/1.1 200 OK\r\nServer: fapws\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"

	hello = common + "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello world!!"

	json = common + "Content-Type: application/json\r\nCache-Control: no-store\r\nVary: Accept\r\n" +
		"X-Frame-Options: DENY\r\nX-Request-Id: 0123456789abcdef\r\nContent-Length: 28\r\n\r\n" +
		`{"message": "Hello, World!"}`

	cachedHead = common + "Content-Type: text/html; charset=utf-8\r\nETag: \"0123456789abcdef\"\r\nAge: " +
		"1\r\nFapws-Cache: hit\r\n" +
		"Content-Length: 4096\r\n\r\n"

	echoHead = common + "Content-Type: application/octet-stream\r\nContent-Length: "
)

var headEnd = []byte("\r\n\r\n")

// cached is a page of 4 KiB as fapws sends it from its cache.
var cached = cachedHead + strings.Repeat("x", 4096)

// server answers on one loop, so its scratch buffer needs no lock.
type server struct {
	gnet.BuiltinEventEngine
	scratch []byte
}

func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	input, _ := c.Peek(-1)
	out, used := s.scratch[:0], 0
	for {
		head, body, err := split(input[used:])
		if err != nil {
			return gnet.Close
		}
		if head == nil {
			break
		}
		out = answer(out, head, body)
		used += len(head) + len(body)
	}
	s.scratch = out[:0]
	if used > 0 { // Discard(0) would discard all bytes.
		_, _ = c.Discard(used)
	}
	if len(out) > 0 {
		if _, err := c.Write(out); err != nil {
			return gnet.Close
		}
	}
	return gnet.None
}

func split(input []byte) (head, body []byte, err error) {
	end := bytes.Index(input, headEnd)
	if end < 0 {
		return nil, nil, nil
	}
	end += len(headEnd)
	length, err := contentLength(input[:end])
	if err != nil || len(input) < end+length {
		return nil, nil, err
	}
	return input[:end], input[end : end+length], nil
}

func contentLength(head []byte) (int, error) {
	if head[0] == 'G' {
		return 0, nil
	}
	_, rest, found := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !found {
		return 0, errors.New("no Content-Length")
	}
	digits, _, _ := bytes.Cut(rest, headEnd[:2])
	return strconv.Atoi(string(digits))
}

func answer(output, head, body []byte) []byte {
	switch {
	case len(body) > 0:
		output = append(output, echoHead...)
		output = strconv.AppendInt(output, int64(len(body)), 10)
		output = append(output, headEnd...)
		return append(output, body...)
	case bytes.HasPrefix(head, []byte("GET /json ")):
		return append(output, json...)
	case bytes.HasPrefix(head, []byte("GET /cached ")):
		return append(output, cached...)
	default:
		return append(output, hello...)
	}
}

func main() {
	if len(os.Args) != 2 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: baregnet ADDRESS [CERTIFICATE KEY]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "baregnet:", err)
		os.Exit(1)
	}
}

func run(address string, files []string) error {
	var handler gnet.EventHandler = &server{}
	if len(files) > 0 {
		certificate, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			return err
		}
		handler = &secureServer{config: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	}
	return gnet.Run(handler, "tcp://"+address, gnet.WithNumEventLoop(1), gnet.WithLogLevel(logging.ErrorLevel))
}
