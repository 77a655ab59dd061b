package proxy

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// pool keeps idle connections to the upstream. It is safe for concurrent use.
type pool struct {
	dial func(context.Context) (*connection, error)

	mu     sync.Mutex
	idle   []*connection // the one used last is the last
	timer  *time.Timer   // closes those that were idle for too long; nil: none are idle
	closed bool
}

const (
	keepIdle = 20 * time.Second // less than most servers keep a connection
	maxIdle  = 64
)

// roundTrip sends a request and returns the head of its response, and the connection that the body is
// read from, which belongs to the caller then. It sends a request a second time only if the upstream closed a kept
// connection before it answered, and the method is safe (RFC 9110 §9.2.2).
func (p *pool) roundTrip(request *http.Request, interim func(*http.Response)) (*http.Response, *connection, error) {
	c := p.take()
	for {
		if c == nil {
			var err error
			if c, err = p.dial(request.Context()); err != nil {
				return nil, nil, err
			}
		}
		response, err := c.ask(request, interim)
		if err == nil {
			return response, c, nil
		}
		c.close()
		if err != errStale || !safe(request.Method) || request.Context().Err() != nil {
			return nil, nil, err
		}
		if request.Body != nil {
			request.Body, _ = request.GetBody()
		}
		c = nil
	}
}

// safe reports whether a method only asks for something (RFC 9110 §9.2.1).
func safe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// take returns an idle connection that can be used, or nil. Something to read, be it the end of the connection or
// bytes that belong to no request, makes it useless.
func (p *pool) take() *connection {
	for {
		p.mu.Lock()
		last := len(p.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if c.quiet() {
			c.reused = true
			return c
		}
		c.close()
	}
}

// Idle returns the number of connections to the upstream that wait for a request. It is safe for concurrent use.
func (p *Proxy) Idle() int {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	return len(p.pool.idle)
}

// put keeps a connection for another request.
func (p *pool) put(c *connection) {
	c.idle = time.Now()
	p.mu.Lock()
	var over *connection
	switch {
	case p.closed:
		over = c
	case len(p.idle) == maxIdle:
		over = p.idle[0]
		p.idle = append(p.idle[:copy(p.idle, p.idle[1:])], c)
	default:
		p.idle = append(p.idle, c)
	}
	if p.timer == nil && len(p.idle) > 0 {
		p.timer = time.AfterFunc(keepIdle, p.expire)
	}
	p.mu.Unlock()
	if over != nil {
		over.close()
	}
}

// expire closes connections that were idle for keepIdle.
func (p *pool) expire() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].idle) >= keepIdle {
		n++
	}
	old := append([]*connection(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	p.timer = nil
	if rest > 0 {
		p.timer = time.AfterFunc(keepIdle-time.Since(p.idle[0].idle), p.expire)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// close closes the idle connections, and later those in use when they become idle.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
