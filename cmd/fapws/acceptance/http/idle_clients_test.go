package http_test

import (
	"io"
	"testing"

	"golang.org/x/net/http2"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestLongestIdleConnectionClosesWhenAnotherClientWaits(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py", "--max-clients", "4", "--keep-alive", "1h", "--head-timeout",
		"1h", "--h2c")
	working := s.Dial()
	working.Send("POST /begins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	response := working.Head("POST")
	var clients []*fapwstest.Client
	for _, begins := range []func(w *fapwstest.Client){
		func(w *fapwstest.Client) { w.Fetch("/say?kept").Is(t, "GET kept") },
		func(w *fapwstest.Client) { w.Send("G") },
		func(*fapwstest.Client) {},
		func(w *fapwstest.Client) {
			w.Send(http2.ClientPreface)
			framer := http2.NewFramer(w.Conn, w.In)
			fapwstest.Must(t, framer.WriteSettings())
			_, err := framer.ReadFrame()
			fapwstest.Equal(t, err, nil)
		},
		func(w *fapwstest.Client) {
			w.Send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
			w.Answer().Want(t, 400)
		},
		func(w *fapwstest.Client) { w.Fetch("/say?6").Is(t, "GET 6") },
		func(w *fapwstest.Client) { w.Fetch("/say?7").Is(t, "GET 7") },
		func(w *fapwstest.Client) { w.Fetch("/say?8").Is(t, "GET 8") },
		func(w *fapwstest.Client) { w.Fetch("/say?9").Is(t, "GET 9") },
	} {
		w := s.Dial()
		begins(w)
		clients = append(clients, w)
	}
	for i, w := range clients[:6] {
		_, err := io.Copy(io.Discard, w.In)
		fapwstest.Truef(t, err == nil, "client %d: %v", i+1, err)
	}
	clients[8].Fetch("/say?again").Is(t, "GET again")
	working.Send("1\r\na\r\n0\r\n\r\n")
	if text, err := io.ReadAll(response.Body); err != nil || string(text) != "begunended" {
		t.Errorf("the response of the oldest connection: %q, %v", text, err)
	}
}
