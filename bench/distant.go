package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const megabyte = 1_000_000

// distantWorkloads post a large body over HTTP/2 from far away. The first delay is that of a continent, the second that
// of the other side of the world.
func distantWorkloads() (loads []workload) {
	for _, delay := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		for _, w := range []workload{
			{name: "distant", title: "WSGI", servers: []string{"threads", "inline", "granian"}},
			{name: "asgidistant", title: "ASGI", asgi: true, servers: []string{"threads", "inline", "granian", "hypercorn"}},
			{name: "proxydistant", title: "a proxy that passes the body on while it arrives", servers: proxyServers,
				origin: &origin{server: "fapws", unix: true}, unbuffered: true},
		} {
			w.title = fmt.Sprintf("60 MB over HTTP/2, each direction %v late, to %s (a request is a megabyte)", delay, w.title)
			w.kind, w.path, w.connections, w.post, w.delay = distant, "/count", 1, 60*megabyte, delay
			if w.app = "app"; w.asgi {
				w.app = "asgi"
			}
			w.name += fmt.Sprint(2 * delay.Milliseconds())
			w.tls, w.streams = true, 1
			loads = append(loads, w)
		}
	}
	return loads
}

func distantTargets() (targets []target) {
	for _, w := range distantWorkloads() {
		least, inline := 80.0, 80.0
		if w.delay > 20*time.Millisecond {
			least, inline = 15, 15
		}
		if w.origin != nil {
			inline = notJudged
		}
		targets = append(targets, target{w.name + ": MB/s", w.name, rate, nil, nil, false, least, inline, "%.0f"})
	}
	return targets
}

// postFrom posts bodies through a relay, one after the other. In the sample, a request is a megabyte.
func (p *process) postFrom(w *workload, length time.Duration) (sample, error) {
	relay, err := newRelay(address(p.port), w.delay)
	if err != nil {
		return sample{}, err
	}
	defer relay.Close()
	transport := &http.Transport{TLSClientConfig: tlsClient.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	url := "https://" + relay.Addr().String()
	post := func(size int64) error {
		answer, err := client.Post(url+w.path, "application/octet-stream", io.LimitReader(zeros{}, size))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && (answer.ProtoMajor != 2 || string(text) != fmt.Sprint(size)) {
			err = fmt.Errorf("%s answers by %s: %s, %q", p.server.name, answer.Proto, answer.Status, text)
		}
		return err
	}
	if err := post(1); err != nil { // the handshake is not measured
		return sample{}, err
	}
	s := sample{}
	before, begin := p.cpu(), time.Now()
	for s.requests == 0 || time.Since(begin) < length {
		if err := post(int64(w.post)); err != nil {
			return sample{}, err
		}
		s.requests += w.post / megabyte
	}
	s.rate = float64(s.requests) / time.Since(begin).Seconds()
	s.cpu = (p.cpu() - before) / time.Duration(s.requests)
	time.Sleep(settle)
	s.memory = p.memory()
	return s, nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// newRelay listens for connections, which it passes on to the server at address. Each byte arrives after delay.
func newRelay(address string, delay time.Duration) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			go passLate(client, server, delay)
			go passLate(server, client, delay)
		}
	}()
	return listener, nil
}

// passLate passes the bytes of one direction on, and closes both connections at the end of the input.
func passLate(source, sink net.Conn, delay time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	late := make(chan piece, 4096) // enough for the bytes of a fast connection within the delay
	go func() {
		defer close(late)
		for {
			b := make([]byte, 64<<10)
			n, err := source.Read(b)
			if err != nil {
				return
			}
			late <- piece{b[:n], time.Now().Add(delay)}
		}
	}()
	for p := range late {
		time.Sleep(time.Until(p.due))
		if _, err := sink.Write(p.data); err != nil {
			break
		}
	}
	source.Close()
	sink.Close()
	for range late { // the reader ends with an error, because its connection is closed
	}
}
