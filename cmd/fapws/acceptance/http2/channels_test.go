package http2_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type events struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func subscribe(t *testing.T, c *http.Client, url string, fields ...string) *events {
	t.Helper()
	response := send(t, c, "GET", url, nil, fields...)
	t.Cleanup(func() { response.Body.Close() })
	got := response.Header.Get("Content-Type")
	fapwstest.Needf(t, response.StatusCode == 200 && strings.HasPrefix(got, "text/event-stream"), "%d %s",
		response.StatusCode, got)
	return &events{t, response.Body, bufio.NewReader(response.Body)}
}

func (e *events) next() string {
	e.t.Helper()
	for {
		line := fapwstest.Try(e.in.ReadString('\n')).Must(e.t)
		if data, found := strings.CutPrefix(line, "data:"); found {
			return strings.TrimSpace(data)
		}
	}
}

func TestSubscribersOnOneConnectionGetEachEvent(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Workers, "news.py")
	c := client(t)
	var all []*events
	for range 50 {
		all = append(all, subscribe(t, c, s.URL+"/news"))
	}
	say := func(i int) { ask(t, c, "GET", fmt.Sprintf("%s/say?%d", s.URL, i), nil) }
	for i := range 20 {
		say(i)
	}
	for n, e := range all {
		for i := range 20 {
			got := e.next()
			fapwstest.Needf(t, got == fmt.Sprint(i), "subscriber %d got %s instead of event %d", n, got, i)
		}
	}
	all[0].body.Close()
	say(20)
	fapwstest.Equal(t, all[1].next(), "20")
	again := subscribe(t, c, s.URL+"/news", "Last-Event-ID", "17")
	for _, want := range []string{"18", "19", "20"} {
		fapwstest.Equal(t, again.next(), want)
	}
}

func TestStreamsOfSubscribersEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "news.py")
	e := subscribe(t, client(t), s.URL+"/news")
	s.Signal(15)
	_, err := io.ReadAll(e.in)
	fapwstest.Equal(t, err, nil)
	s.EndsWith(0)
}
