package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

func (p *process) url(path string) string {
	if p.tls {
		return "https://" + address(p.port) + path
	}
	return "http://" + address(p.port) + path
}

// waitReady waits for the first response of p, and returns the time since the process was started. waitReady sends
// requests at short intervals, so that the time is precise.
func (p *process) waitReady(path string) (time.Duration, error) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: tlsClient}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for {
		if conn, err := net.Dial("tcp", address(p.port)); err == nil {
			conn.Close()
			answer, err := client.Get(p.url(path))
			if err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				return time.Since(p.begun), nil
			}
		}
		select {
		case <-p.gone:
			return 0, fmt.Errorf("%s ended before it answered, see %s.log", p.server.name, p.server.name)
		case <-time.After(200 * time.Microsecond):
		}
		if time.Since(p.begun) > time.Minute {
			return 0, fmt.Errorf("%s does not answer, see %s.log", p.server.name, p.server.name)
		}
	}
}

func (p *process) check(w *workload) error {
	method, body := "GET", io.Reader(nil)
	if w.post > 0 {
		method, body = "POST", bytes.NewReader(make([]byte, w.post))
	}
	request, err := http.NewRequest(method, p.url(w.path), body)
	if err != nil {
		return err
	}
	request.Close = true
	for _, field := range w.fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: tlsClient}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != cmp.Or(w.status, http.StatusOK) || answer.Header.Get("Content-Encoding") != w.coding:
		return fmt.Errorf("%s answers %s with %s", p.server.name, w.path, answer.Status)
	case n != w.length && w.length >= 0 || n == 0:
		return fmt.Errorf("%s answers %s with %d bytes instead of %d", p.server.name, w.path, n, w.length)
	}
	p.modified = answer.Header.Get("Last-Modified")
	return nil
}

type sample struct {
	rate     float64
	p50, p99 time.Duration
	cpu      time.Duration // CPU time that the server uses for a request, without the PHP processes
	php      time.Duration // CPU time that the PHP processes use for a request
	memory   int64         // private memory in bytes, after the measurement
	requests int
	errors   int
	alone    float64
	took     time.Duration // workload startup: time until the first response
	each     int64         // workload idle: bytes of memory for each connection
	// workload subscribers: share of a CPU while no events are sent.
	idle float64
	// workload subscribers: 99th percentile of the latency of requests before clients subscribe.
	before  time.Duration
	grown   int64 // workload slowly: growth of the memory in bytes
	reloads int
	// share of the two CPUs that other machines have used during the measurement.
	stolen float64
}

// wrk counts only complete responses, so a measurement of bodies of largeBody bytes takes at least largeTime.
const (
	largeBody = 100 << 20
	largeTime = 5 * time.Second
)

func (p *process) loadWith(w *workload, lua string, length time.Duration, cpu int) (sample, error) {
	if err := wrk.need(); err != nil {
		return sample{}, err
	}
	if w.length+int64(w.post) >= largeBody {
		length = max(length, largeTime)
	}
	cmd := exec.Command(wrk.file, "--threads", "1", "--connections", strconv.Itoa(w.connections),
		"--duration", fmt.Sprintf("%ds", int(length.Seconds())), "--timeout", "10s",
		"--script", lua+"/"+w.scriptFile())
	for _, field := range w.fields {
		cmd.Args = append(cmd.Args, "--header", field)
	}
	if w.since {
		cmd.Args = append(cmd.Args, "--header", "If-Modified-Since: "+p.modified)
	}
	cmd.Args = append(cmd.Args, p.url(w.path))
	cmd.Env = append(cmd.Environ(), "BENCH_LUA="+lua)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	before, beforePHP := p.cpu(), p.cpuOf(phpProgram)
	if err := startOn(cmd, cpu); err != nil {
		return sample{}, err
	}
	if err := cmd.Wait(); err != nil {
		return sample{}, fmt.Errorf("wrk: %w\n%s", err, out.String())
	}
	used, usedPHP := p.cpu()-before, p.cpuOf(phpProgram)-beforePHP
	_, line, found := strings.Cut(out.String(), "RESULT ")
	if !found {
		return sample{}, fmt.Errorf("wrk printed no result:\n%s", out.String())
	}
	var requests, micros, size, p99, errors int
	var p50 float64
	if _, err := fmt.Sscan(line, &requests, &micros, &size, &p50, &p99, &errors); err != nil {
		return sample{}, err
	}
	time.Sleep(settle)
	s := sample{requests: requests, errors: errors, memory: p.memory(),
		p50: time.Duration(p50 * float64(time.Microsecond)), p99: time.Duration(p99) * time.Microsecond}
	if requests > 0 {
		s.rate = float64(requests) / (float64(micros) / 1e6)
		s.cpu = (used - usedPHP) / time.Duration(requests)
		s.php = usedPHP / time.Duration(requests)
	}
	return s, nil
}

// settle is the delay between the last request and the measurement of memory.
const settle = 300 * time.Millisecond

func (p *process) sit(n int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				request, _ := http.NewRequestWithContext(ctx, "GET", p.url("/slow"), nil)
				answer, err := client.Do(request)
				if err != nil {
					// Pause before the next attempt, because the server refuses connections until it listens.
					select {
					case <-ctx.Done():
					case <-time.After(50 * time.Millisecond):
					}
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
	return func() {
		cancel()
		clients.Wait()
	}
}

func (p *process) openIdle(path string, n int) (conns []net.Conn, err error) {
	for range n {
		conn, err := net.Dial("tcp", address(p.port))
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path); err != nil {
			return conns, err
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return conns, err
		}
		if answer.Close {
			return conns, fmt.Errorf("%s closes the connection after the response", p.server.name)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	return conns, nil
}
