package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	reloadEvery = time.Second
	reloadLeast = 3 * reloadEvery
	askEvery    = time.Millisecond
)

func (b *bench) reloadsOf(s *server, w *workload) (sample, error) {
	p, err := start(s, w, &b.settings)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := p.waitReady(w.path); err != nil {
		return sample{}, err
	}
	if err := p.check(w); err != nil {
		return sample{}, err
	}
	load := startConstantLoad(p, w)
	length := max(time.Duration(b.rounds)*b.length, reloadLeast)
	reloads := 0
	for range length / reloadEvery {
		before := p.tree()[1:]
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return sample{}, err
		}
		time.Sleep(reloadEvery)
		// Check that there are new workers. Without a reload, no request could fail, and the measurement would be
		// worthless.
		if !slices.ContainsFunc(p.tree()[1:], func(id int) bool { return slices.Contains(before, id) }) {
			reloads++
		}
	}
	requests, failed := load.stop()
	if reloads == 0 {
		return sample{}, fmt.Errorf("%s has the same workers after HUP, see %s.log", s.name, s.name)
	}
	return sample{rate: float64(requests) / length.Seconds(), requests: requests, errors: failed, reloads: reloads}, nil
}

// The clients of constantLoad send requests without a break. Every second client opens a new connection for each
// request. The other clients keep their connection until the server announces that it will close.
type constantLoad struct {
	clients          sync.WaitGroup
	ended            atomic.Bool
	requests, failed atomic.Int64
}

func startConstantLoad(p *process, w *workload) *constantLoad {
	load := &constantLoad{}
	for i := range w.connections {
		load.clients.Go(func() {
			c := &strictClient{process: p, workload: w, keep: i%2 == 0}
			defer c.hangUp()
			for !load.ended.Load() {
				load.requests.Add(1)
				if err := c.ask(); err != nil {
					c.hangUp()
					if load.failed.Add(1) == 1 {
						fmt.Printf("first failure of %s: %v\n", p.server.name, err)
					}
				}
				time.Sleep(askEvery)
			}
		})
	}
	return load
}

func (l *constantLoad) stop() (requests, failed int) {
	l.ended.Store(true)
	l.clients.Wait()
	return int(l.requests.Load()), int(l.failed.Load())
}

// strictClient sends requests on one connection at a time. Unlike http.Client, strictClient never retries a request. If
// the server closes a kept connection without an announcement, the request has failed.
type strictClient struct {
	process  *process
	workload *workload
	keep     bool
	conn     net.Conn
	in       *bufio.Reader
}

func (c *strictClient) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *strictClient) ask() (err error) {
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", address(c.process.port)); err != nil {
			c.conn = nil
			return err
		}
		c.in = bufio.NewReader(c.conn)
	}
	connection := "keep-alive"
	if !c.keep {
		connection = "close"
	}
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: %s\r\n\r\n", c.workload.path,
		connection); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("status %s", answer.Status)
	case n != c.workload.length:
		return fmt.Errorf("%d bytes instead of %d", n, c.workload.length)
	}
	if answer.Close || !c.keep {
		c.hangUp()
	}
	return nil
}
