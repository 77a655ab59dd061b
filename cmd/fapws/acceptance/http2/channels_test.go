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
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 ||
		!strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("%d %s", response.StatusCode, got)
	}
	return &events{t, response.Body, bufio.NewReader(response.Body)}
}

func (e *events) next() string {
	e.t.Helper()
	for {
		line, err := e.in.ReadString('\n')
		fapwstest.Must(e.t, err)
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
			if got := e.next(); got != fmt.Sprint(i) {
				t.Fatalf("subscriber %d got %s instead of event %d", n, got, i)
			}
		}
	}
	all[0].body.Close()
	say(20)
	if got := all[1].next(); got != "20" {
		t.Error(got)
	}
	again := subscribe(t, c, s.URL+"/news", "Last-Event-ID", "17")
	for _, want := range []string{"18", "19", "20"} {
		if got := again.next(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestStreamsOfSubscribersEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "news.py")
	e := subscribe(t, client(t), s.URL+"/news")
	s.Signal(15)
	if _, err := io.ReadAll(e.in); err != nil {
		t.Error(err)
	}
	s.EndsWith(0)
}
