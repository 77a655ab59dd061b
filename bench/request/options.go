package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/net/http/httpguts"
)

type Options struct {
	URL         string
	socket      string // "" unless URL names a unix socket
	url         *url.URL
	Method      string
	Fields      http.Header
	Body        []byte
	Connections int
	Streams     int // concurrent requests on a connection of HTTP/2
	Threads     int
	Requests    int64
	Duration    time.Duration // 0 means that Requests is the limit
	Rate        float64       // requests per second; 0 means as fast as possible
	// time limit for connecting, for TLS handshakes and for each response
	Timeout  time.Duration
	HTTP2    bool
	Close    bool
	Insecure bool
	CAFile   string
	JSON     bool
}

const (
	maxConnections = 60000
	maxThreads     = 256
	maxStreams     = 1 << 16
	maxRate        = 1e7
	maxRequests    = 1e12
)

func Help() string {
	return `Usage: ./build.sh request [FLAGS] URL
Sends requests to a server that is yours, and shows how fast it answers.
A unix socket is written as unix:/run/app.sock, or unix:/run/app.sock:/path.

` + new(Options).flags().FlagUsagesWrapped(79) + `
Exit status: 0 all requests got a response with a status below 400; 1 some did
not; 2 usage error.
`
}

// The text of an error is a line for the user.
func ParseArgs(args []string, stdout io.Writer) (*Options, error) {
	o := &Options{Fields: http.Header{}, Connections: 32, Streams: 1, Threads: max(1, min(2, runtime.NumCPU()/2)),
		Timeout: 10 * time.Second}
	set := o.flags()
	set.Usage = func() { fmt.Fprint(stdout, Help()) }
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	urls := set.Args()
	switch {
	case len(urls) == 0 || urls[0] == "":
		return nil, errors.New("no URL given; usage: ./build.sh request [FLAGS] URL")
	case len(urls) > 1:
		return nil, fmt.Errorf("%q: one URL at a time", urls[1])
	}
	o.URL = urls[0]
	var err error
	if o.socket, o.url, err = parseURL(o.URL); err != nil {
		return nil, err
	}
	return o, o.complete()
}

func (o *Options) flags() *pflag.FlagSet {
	set := pflag.NewFlagSet("request", pflag.ContinueOnError)
	set.SortFlags = false
	set.FuncP("connections", "c", "open `N` connections at once [32]", number(&o.Connections, maxConnections))
	set.FuncP("duration", "d", "send requests for this `TIME` [10s]", spanFlag(&o.Duration))
	set.FuncP("requests", "n", "send `N` requests instead", number(&o.Requests, maxRequests))
	set.FuncP("rate", "r", "send `N` requests per second at fixed times; percentiles then include the waiting that a "+
		"slow server causes", o.setRate)
	set.FuncP("threads", "t", "generate load with `N` threads [1, or 2 with 4 processors]", number(&o.Threads, maxThreads))
	set.FuncP("method", "m", "use this `METHOD` [GET, or POST with a body]", o.setMethod)
	set.FuncP("header", "H", "send this `LINE`, \"Name: value\", as a header field; may be repeated", o.addField)
	set.FuncP("body", "b", "send `TEXT` as the body of each request; @FILE reads it from a file", o.setBody)
	set.BoolVar(&o.HTTP2, "http2", false, "HTTP/2; without https:// the server must expect it")
	set.Func("streams", "send `N` requests at once on a connection of HTTP/2 [1]", number(&o.Streams, maxStreams))
	set.BoolVar(&o.Close, "close", false, "a connection for each request")
	set.Func("timeout", "wait this `TIME` for a connection and for each response [10s]", spanFlag(&o.Timeout))
	set.Func("cacert", "trust the CA in `FILE` (PEM), which has signed the certificate", o.setCAFile)
	set.BoolVarP(&o.Insecure, "insecure", "k", false, "accept any certificate")
	set.BoolVar(&o.JSON, "json", false, "results as JSON: latencies in seconds, sizes in bytes")
	return set
}

func number[T int | int64](target *T, most T) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || n > int64(most) {
			return fmt.Errorf("must be a number from 1 to %d", most)
		}
		*target = T(n)
		return nil
	}
}

func spanFlag(target *time.Duration) func(string) error {
	return func(s string) error {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			s += "s"
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("must be a time such as 10s or 1m")
		}
		*target = d
		return nil
	}
}

func (o *Options) setRate(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0 && f <= maxRate) {
		return fmt.Errorf("must be requests per second, more than 0 and up to %d", int(maxRate))
	}
	o.Rate = f
	return nil
}

func (o *Options) setMethod(s string) error {
	if !httpguts.ValidHeaderFieldName(s) {
		return errors.New("must be a method such as GET")
	}
	o.Method = s
	return nil
}

func (o *Options) addField(s string) error {
	name, value, ok := strings.Cut(s, ":")
	value = strings.Trim(value, " \t")
	if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
		return errors.New(`must be "Name: value"`)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Connection":
		return errors.New("is set by this program: see --body and --close")
	}
	o.Fields.Add(name, value)
	return nil
}

func (o *Options) setCAFile(s string) error {
	o.CAFile = s
	if _, err := os.Stat(s); err != nil {
		return fmt.Errorf("cannot read %w", err)
	}
	return nil
}

func (o *Options) setBody(s string) error {
	if file, ok := strings.CutPrefix(s, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("cannot read %w", err)
		}
		o.Body = b
		return nil
	}
	o.Body = []byte(s)
	return nil
}

func (o *Options) complete() error {
	if o.Method == "" {
		o.Method = http.MethodGet
		if o.Body != nil {
			o.Method = http.MethodPost
		}
	}
	switch {
	case o.Requests > 0 && o.Duration > 0:
		return errors.New("give --requests or --duration, not both")
	case o.Streams > 1 && !o.HTTP2:
		return errors.New("--streams needs --http2")
	case o.Close && o.HTTP2:
		return errors.New("--close is for HTTP/1.1, not --http2")
	case o.Requests == 0 && o.Duration == 0:
		o.Duration = 10 * time.Second
	}
	if o.Requests > 0 && o.Requests < int64(o.Connections) {
		o.Connections = int(o.Requests)
	}
	o.Threads = min(o.Threads, o.Connections)
	return nil
}
