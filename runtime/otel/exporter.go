package otel

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// An Exporter sends spans to a collector. The methods are safe for concurrent use.
type Exporter struct {
	*Config
	log     func(line string)
	lines   logfile.Seldom
	http    http.Client
	before  message // encoded fields before the spans: the resource, which describes this server
	scope   message
	dropped atomic.Int64

	due   *time.Timer     // fires when a batch is complete, or when spans have waited long enough
	open  context.Context // ends at Close
	close context.CancelFunc
	ctx   context.Context // ends when Close must return
	stop  context.CancelFunc
	ended chan struct{} // closed when all spans are sent or dropped
	once  sync.Once
	until time.Time // when Close must return; set before open ends

	mu      sync.Mutex // guards the following fields
	spans   message    // encoded spans, as fields of a ScopeSpans
	ends    []int      // end of each span in spans
	scratch message    // reused memory for a span
	text    []byte     // reused memory for a text of a span
}

const (
	// maxBytes limits the memory of the spans that wait, in bytes.
	maxBytes = 8 << 20

	// firstPause is how long the Exporter waits after a failure. The pause doubles up to maxPause. A collector may ask
	// for a longer pause, up to longestPause.
	firstPause   = time.Second
	maxPause     = 5 * time.Second
	longestPause = 5 * time.Minute

	complaintsEvery = time.Hour
)

// New returns an Exporter. version is the version of this server. log gets a line for the operator if spans cannot be
// sent, at most one each hour.
func New(c *Config, version string, log func(line string)) *Exporter {
	x := &Exporter{Config: c, log: log, due: time.NewTimer(c.delay), ended: make(chan struct{})}
	x.ctx, x.stop = context.WithCancel(context.Background())
	x.open, x.close = context.WithCancel(x.ctx)
	x.http = http.Client{
		Transport: &http.Transport{DialContext: x.dial, TLSClientConfig: c.tls, DisableCompression: true,
			IdleConnTimeout: 2 * c.delay},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var resource message
	for _, one := range append([]pair{{"telemetry.sdk.name", "fapws"}, {"telemetry.sdk.language", "go"},
		{"telemetry.sdk.version", version}}, c.resource...) {
		resource = text(resource, 1, one.key, clean([]byte(one.value)))
	}
	x.before = put(nil, 1, resource)
	x.scope = put(nil, 1, put(put(message(nil), 1, "fapws"), 2, version))
	go x.run()
	return x
}

func (x *Exporter) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	_, port, _ := net.SplitHostPort(address)
	for _, host := range x.hosts {
		if c, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// Dropped returns the number of spans that were not sent.
func (x *Exporter) Dropped() int64 { return x.dropped.Load() }

var errFull = errors.New("it is too slow, and the queue is full")

// isFull reports whether the queue is full. In this case, isFull counts a span as dropped. Exporter.mu must be locked.
func (x *Exporter) isFull() bool {
	if len(x.ends) < x.queue && len(x.spans) < maxBytes {
		return false
	}
	x.dropped.Add(1)
	x.complain(errFull)
	return true
}

// enqueue adds an encoded Span. Exporter.mu must be locked.
func (x *Exporter) enqueue(m message) {
	x.scratch = m
	x.spans = put(x.spans, 2, m)
	x.ends = append(x.ends, len(x.spans))
	switch len(x.ends) {
	case x.batch:
		x.due.Reset(0)
	case 1:
		x.due.Reset(x.delay)
	}
}

// take removes up to a batch of spans from the queue, and returns them as an ExportTraceServiceRequest.
func (x *Exporter) take(body message) (_ message, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n = min(len(x.ends), x.batch); n == 0 {
		return body, 0
	}
	end := x.ends[n-1]
	inner := len(x.scope) + end
	body = append(body[:0].head(1, len(x.before)+sized(inner)), x.before...)
	body = append(append(body.head(2, inner), x.scope...), x.spans[:end]...)
	x.spans = append(x.spans[:0], x.spans[end:]...)
	x.ends = append(x.ends[:0], x.ends[n:]...)
	for i := range x.ends {
		x.ends[i] -= end
	}
	return body, n
}

// run sends the spans of the queue until Close is called.
func (x *Exporter) run() {
	defer close(x.ended)
	var body message
	for closing := false; !closing; {
		select {
		case <-x.due.C:
		case <-x.open.Done():
			closing = true
		}
		for n := 1; n > 0; {
			if body, n = x.take(body); n > 0 {
				x.export(body, n)
			}
		}
	}
}

// complain logs why spans are lost, or will be lost if the failures continue.
func (x *Exporter) complain(err error) {
	if x.ctx.Err() == nil && x.lines.Once(complaintsEvery) {
		x.log(fmt.Sprintf("otel: cannot send all spans to %s://%s%s: %v; the metric fapws_otel_spans_dropped_total "+
			"counts the lost ones, and this line comes at most once an hour", x.URL.Scheme, x.URL.Host, x.URL.Path, err))
	}
}

// closingTime limits how long Close sends spans.
const closingTime = 3 * time.Second

// Close sends the spans of the queue. At the deadline, after closingTime, or after the collector did not answer, it
// drops the remaining spans and returns. Close may be called again, and on a nil Exporter.
func (x *Exporter) Close(deadline time.Time) {
	if x == nil {
		return
	}
	x.once.Do(func() {
		x.until = time.Now().Add(closingTime)
		if deadline.Before(x.until) {
			x.until = deadline
		}
		time.AfterFunc(time.Until(x.until), x.stop)
		x.close()
	})
	<-x.ended
}

// export sends a batch of n spans. If the collector cannot be reached or is overloaded, export sends the batch again,
// until the configured time limit. After Close, export sends a batch again only if the collector has asked for a pause.
func (x *Exporter) export(body []byte, n int) {
	end := time.Now().Add(x.limit)
	for usual := firstPause; ; usual = min(2*usual, maxPause) {
		asked, again, err := x.post(body)
		if err == nil {
			return
		}
		x.complain(err)
		wait := asked
		if wait == 0 {
			if again && x.open.Err() != nil {
				x.stop()
			}
			wait, again = usual/2+rand.N(usual), again && x.open.Err() == nil
		}
		if again = again && time.Now().Add(wait).Before(end); !again {
			x.dropped.Add(int64(n))
		}
		if again || asked > 0 {
			x.pause(wait, asked > 0)
		}
		if !again {
			return
		}
	}
}

// pause waits before the next request to the collector. Close ends the pause, unless the collector has asked for it
// (asked). If a pause for the collector would end after the deadline of Close, all remaining spans are dropped at once.
func (x *Exporter) pause(wait time.Duration, asked bool) {
	end, over := time.Now().Add(wait), time.After(wait)
	select {
	case <-over:
		return
	case <-x.open.Done():
	}
	if !asked {
		return
	}
	if end.After(x.until) {
		x.stop()
	}
	select {
	case <-over:
	case <-x.ctx.Done():
	}
}

// post sends a request to the collector. retryable is true if the same spans may be sent once more. asked is the pause
// for which the collector has asked, or 0 (https://opentelemetry.io/docs/specs/otlp/#failures-1).
func (x *Exporter) post(body []byte) (asked time.Duration, retryable bool, err error) {
	ctx, cancel := context.WithTimeout(x.ctx, x.timeout)
	defer cancel()
	header := x.header.Clone()
	header.Set("Content-Type", "application/x-protobuf")
	header.Set("User-Agent", "OTel-OTLP-Exporter-fapws")
	if x.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write(body)
		w.Close()
		body = packed.Bytes()
		header.Set("Content-Encoding", "gzip")
	}
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, x.URL.String(), bytes.NewReader(body)) // cannot fail
	request.Header = header
	response, err := x.http.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, true, fmt.Errorf("no answer within %v", x.timeout)
		}
		return 0, true, system.Cause(errors.Unwrap(err))
	}
	defer response.Body.Close()
	const most = 64 << 10 // the connection is closed after a longer answer
	answer, _ := io.ReadAll(io.LimitReader(response.Body, most))
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryAfter(response.Header.Get("Retry-After")), true, errors.New("status " + response.Status)
	}
	if response.StatusCode/100 != 2 {
		return 0, false, fmt.Errorf("status %s: %.200q", response.Status, answer)
	}
	return 0, false, nil
}

// retryAfter returns the time of a field Retry-After (RFC 9110 §10.2.3), or 0.
func retryAfter(value string) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), longestPause)
}
