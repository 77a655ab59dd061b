package runtime

import (
	"bufio"
	"errors"
	"io"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/websocket/wstest"
)

// TestWebSocketStress: clients that do this and that, well or badly, with a handler beside the
// loop that does so, too. Everything ends, and nothing is a bug.
func TestWebSocketStress(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	a.opened = func(one *talk) {
		switch {
		case !one.socket:
			one.reply(200, "plain")
		case one.path == "/denied":
			go one.reply(403, "denied")
		default:
			go one.accept()
		}
	}
	a.message = func(one *talk, op exchange.Op, b []byte) {
		b = append([]byte(nil), b...)
		go func() {
			switch {
			case strings.HasPrefix(string(b), "close"):
				one.close(4000, "asked")
				one.end(false)
			case strings.HasPrefix(string(b), "fail"):
				one.end(true)
			case strings.HasPrefix(string(b), "many"):
				for range 50 {
					one.send(op, b)
				}
			default:
				one.send(op, b)
			}
		}()
	}
	s := serveTalks(t, Config{}, a, "")
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			r := rand.New(rand.NewSource(int64(i)))
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				stressOne(t, s, r)
			}
		})
	}
	clients.Wait()
	eventually(t, "the end", a.idle)
}

// stressOne is the life of one client.
func stressOne(t *testing.T, s *testServer, r *rand.Rand) {
	path := "/"
	if r.Intn(10) == 0 {
		path = "/denied"
	}
	var fields []string
	if r.Intn(2) == 0 {
		fields = append(fields, wstest.Deflate)
	}
	c, err := wstest.Dial(s.addr, path, fields...)
	var denied *wstest.Denied
	if errors.As(err, &denied) && path == "/denied" {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Conn.Close()
	if r.Intn(4) > 0 { // a client that does not read
		go io.Copy(io.Discard, bufio.NewReader(c.Conn))
	}
	c.Conn.SetDeadline(time.Now().Add(patience))
	words := []string{"", "hello", "close", "fail", "many", strings.Repeat("many ", 3000), strings.Repeat("x", 70000)}
	for range r.Intn(12) {
		word := words[r.Intn(len(words))]
		switch r.Intn(12) {
		case 0:
			err = c.WriteFrame(wstest.Fin|wstest.Ping, []byte("ping"))
		case 1:
			err = c.WriteFrame(byte(r.Intn(256)), []byte(word[:min(len(word), 125)]))
		case 2:
			_, err = c.Conn.Write([]byte(word))
		case 3:
			c.WriteFrame(wstest.Text, []byte("fragment"))
			err = c.WriteFrame(wstest.Fin|wstest.Continuation, []byte(word))
		case 4:
			err = c.WriteFrame(wstest.Fin|wstest.Close, []byte("\x03\xe8"))
		case 5:
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			return
		case 6:
			c.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
			return
		default:
			err = c.SendText(word)
		}
		if err != nil {
			return
		}
	}
}
