package runtime

import (
	"fmt"
	"io"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// Deliver implements Receiver.
func (a *testApp) Deliver(in exchange.Input) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.calls[in.Ticket]
	if c == nil {
		panic("input for an exchange that has ended")
	}
	select {
	case <-c.gone:
		panic("input for an exchange that was cancelled")
	default:
	}
	if in.Op == exchange.OpClose { // the client has shut down its side
		return
	}
	if !c.More {
		panic("input for a request that was whole")
	}
	c.More = !in.Last
	c.inputs = append(c.inputs, input{string(in.Data), in.Last})
	a.input += c.inputs[len(c.inputs)-1].cost()
	a.maxInput = max(a.maxInput, a.input)
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// receive waits for the next piece of the body and gives credit for it. It
// returns io.EOF behind the last one, io.ErrUnexpectedEOF when the exchange was
// cancelled.
func (c *call) receive() (string, error) {
	a := c.app
	for {
		a.mu.Lock()
		if len(c.inputs) > 0 {
			in := c.inputs[0]
			c.inputs = c.inputs[1:]
			a.input -= in.cost()
			a.mu.Unlock()
			c.credit(in.cost())
			return in.Data, nil
		}
		more := c.More
		a.mu.Unlock()
		if !more {
			return "", io.EOF
		}
		select {
		case <-c.arrived:
		case <-c.gone:
			return "", io.ErrUnexpectedEOF
		}
	}
}

// credit says that the application has taken n bytes of input.
func (c *call) credit(n int64) {
	a := c.app
	a.mu.Lock()
	a.nextRef++
	a.tokens[a.nextRef] = make(chan struct{})
	a.parts = append(a.parts, exchange.Part{Ticket: c.ticket, Op: exchange.OpCredit, Credit: n, File: -1, Ref: a.nextRef})
	a.made++
	a.mu.Unlock()
	a.waker.Wake()
}

// all collects the body.
func (c *call) all() (string, error) {
	var b strings.Builder
	b.WriteString(c.Body)
	for {
		piece, err := c.receive()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		b.WriteString(piece)
	}
}

// send streams a piece of the answer, which has no length, and waits until it was
// taken; false: the client has left.
func (c *call) send(piece string) bool {
	done := c.part(exchange.Part{File: -1, Body: []byte(piece), Head: exchange.Head{Status: 200, Length: -1}})
	select {
	case <-done:
		return true
	case <-c.gone:
		return false
	}
}

// end ends an answer, whether or not it has begun.
func (c *call) end(failed bool) {
	c.part(exchange.Part{Last: true, Failed: failed, File: -1, Head: exchange.Head{Status: 500, Length: -1}})
}

// streams is a mount that takes bodies in pieces.
var streams = sites.Mount{Prefix: "/", Streams: true}

const (
	postChunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	lastRequest = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)

func postSized(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", n)
}

// gatherBody is an application that answers with the body it was given in pieces.
func gatherBody(c *call) {
	body, err := c.all()
	if err != nil {
		c.end(true)
		return
	}
	c.reply(200, c.Method+c.Path+":"+body)
}
