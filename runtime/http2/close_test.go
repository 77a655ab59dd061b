package http2

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"fapws/runtime/checktest"
)

// A stream times out if its window stays closed. A request times out if its body arrives too slowly.
func TestClosedWindowsAndSlowBodiesTimeOut(t *testing.T) {
	h := newHost(t)
	h.Set.WriteTimeout = time.Minute
	h.Config.BodyTimeout = time.Minute
	h.Config.KeepAlive = time.Minute
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.request(1, "/1", true)
	p.request(3, "/3", false)
	p.ping()
	later := func(by time.Duration) {
		h.Do(func() {
			h.Set.SetTime(h.Set.Start.Add(time.Duration(h.Set.Now) + by))
			h.Set.Tick()
		})
	}
	later(59 * time.Second)
	h.Do(func() {
		checktest.Equalf(t, len(c.streams), 2, "streams")
	})
	later(3 * time.Second)
	h.Do(func() {
		checktest.Equalf(t, c.streams[1], nil, "the stream with a closed window is still there")
	})
	got := ""
	for range 2 {
		switch f := p.next().(type) {
		case *http2.RSTStreamFrame:
			got += fmt.Sprint("reset ", f.StreamID, f.ErrCode, " ")
		case *http2.MetaHeadersFrame:
			got += fmt.Sprint("head ", f.StreamID, f.PseudoValue("status"), " ")
		}
	}
	checktest.Truef(t, strings.Contains(got, "reset 1 CANCEL") && strings.Contains(got, "head 3408"), "%s", got)
	p.framer.WriteRSTStream(3, http2.ErrCodeCancel)
	p.ping()
	later(62 * time.Second)
	f := p.next()
	g, ok := f.(*http2.GoAwayFrame)
	checktest.Truef(t, ok && g.ErrCode == http2.ErrCodeNo, "%v", f)
	_, err := p.framer.ReadFrame()
	checktest.Equal(t, err, io.EOF)
}

// A client that has been silent since its last request gets a single GOAWAY with the number of the last stream. To a
// client that was active recently, the server first sends a GOAWAY without this number, because a request may be on its
// way.
func TestSilentClientIsDisconnectedInOneStep(t *testing.T) {
	for _, silent := range []time.Duration{0, 2 * time.Second} {
		h := newHost(t)
		c, p := h.open(t)
		p.request(1, "/", true)
		p.response(1)
		h.Do(func() {
			c.conn.Stamp = c.s.Set.Now - int64(silent)
			c.Drain(true)
		})
		f := p.next()
		_, asks := f.(*http2.PingFrame)
		if asks {
			f = p.next()
		}
		if g, ok := f.(*http2.GoAwayFrame); !ok || asks != (silent == 0) || (g.LastStreamID == 1) != (silent > 0) {
			t.Errorf("silent for %v: %v, PING: %v", silent, f, asks)
		}
	}
}

// The loop counts connections whose first request has not arrived, and gives other processes their new clients.
func TestConnectionThatClosesWithoutARequestIsNoLongerExpected(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	h.Do(func() { checktest.Equalf(t, h.Arrivals, 0, "requests") })
	p.conn.Close()
	checktest.Eventually(t, "the end of the connection", func() (closed bool) {
		h.Do(func() { closed = c.closed })
		return closed
	})
	h.Do(func() { checktest.Truef(t, h.Arrivals > 0, "the connection is still expected to send a request") })
}

// A client that does not answer the PING after the first GOAWAY does not keep the server from ending.
func TestClientThatIgnoresTheFirstGoawayIsDisconnected(t *testing.T) {
	h := newHost(t)
	h.Config.KeepAlive = time.Hour
	c, p := h.open(t)
	p.request(1, "/", true)
	p.response(1)
	h.Do(func() { c.Drain(true) })
	h.Do(func() {
		h.Set.SetTime(h.Set.Start.Add(time.Duration(h.Set.Now) + 3*time.Second))
		h.Set.Tick()
	})
	var err error
	for err == nil {
		_, err = p.framer.ReadFrame()
	}
	checktest.Equal(t, err, io.EOF)
}
