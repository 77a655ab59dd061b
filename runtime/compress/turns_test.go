package compress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/system"
)

func TestResponseWaitsForATurnForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns()
		takeAll(turns)
		began := time.Now()
		checktest.Equalf(t, turns.Take(patience), false, "all turns are taken: Take")
		checktest.Equalf(t, time.Since(began), 20*time.Millisecond, "Take waits for")
		checktest.Equal(t, turns.level(), best)

		took := 0
		for range 2 {
			go func() {
				if turns.Take(patience) {
					took++
				}
			}()
		}
		synctest.Wait()
		checktest.Equalf(t, turns.level(), fastest, "the level while two wait")
		time.Sleep(patience - time.Nanosecond)
		turns.Leave()
		synctest.Wait()
		checktest.Equalf(t, took, 1, "turns that were left and taken")
		checktest.Equalf(t, turns.level(), fastest, "the level while one waits")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		checktest.Equalf(t, took, 1, "turns that were taken after the time")
		checktest.Equalf(t, turns.level(), best, "the level while nobody waits")
	})
}

func TestEqualBodiesHaveEqualResultsAlsoWhileOthersWait(t *testing.T) {
	text := randomText()
	for _, coding := range []Coding{Gzip, Zstd} {
		want, made := Compress(coding, text)
		checktest.Truef(t, made, "%v", coding)
		fast, made := compress(coding, text, fastest)
		checktest.Truef(t, made && !bytes.Equal(fast, want), "%v: the fastest level is the default", coding)
		Processors.waiting.Add(1)
		again, _ := Compress(coding, text)
		Processors.waiting.Add(-1)
		checktest.Truef(t, bytes.Equal(again, want), "%v: the result depends on the queue", coding)
	}
}

func TestWaitingBodiesNeedLimitedMemory(t *testing.T) {
	defer system.SetMemory(system.Memory())
	for memory, limit := range map[int64]int64{0: 128 << 20, 32 << 20: 4 << 20, 256 << 20: 16 << 20, 64 << 30: 128 << 20} {
		system.SetMemory(memory)
		c := &Compressor{whole: limit}
		checktest.Equalf(t, c.patience(), patience, "memory %d: the last body that fits waits for", memory)
		c.whole++
		checktest.Equalf(t, c.patience(), 0, "memory %d: the next body waits for", memory)
	}
}

type server struct {
	exchangetest.Host
	body   []byte
	length int64
}

func (s *server) Start(x *exchange.Exchange) {
	x.Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: s.length, Type: "text/plain"}})
	x.Sink.Send(&exchange.Part{End: exchange.Complete, Body: s.body})
}

func randomText() (text []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		text = fmt.Appendf(text, "item %d, ", r.IntN(1000))
	}
	return text
}

// While all turns are taken, a whole body is sent uncompressed after a while, but a stream is compressed. If a turn is
// free in time, all are compressed.
func TestResponsesWaitForATurn(t *testing.T) {
	s := &server{body: randomText()}
	var c *Compressor
	s.Filters = []exchange.Filter{func(x *exchange.Exchange, next exchange.Sink) exchange.Sink { return c.Filter(x, next) }}
	s.Run(t, s, exchange.Config{})
	s.Do(func() { c = New(s.Set) })
	ask := func() (coding func() string) {
		client := s.Connect(t, "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
		return func() string {
			defer client.Close()
			response := checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
			checktest.Try(io.ReadAll(response.Body)).Must(t)
			return response.Header.Get("Content-Encoding")
		}
	}
	for late, length := range map[string]int64{"": int64(len(s.body)), "gzip": -1} {
		s.Do(func() { s.length = length })
		leave := takeAll(Processors)
		checktest.Equalf(t, ask()(), late, "length %d, no turn: coding", length)
		leave()
		checktest.Eventually(t, "the responses that wait are compressed", func() bool {
			leave := takeAll(Processors)
			first, second := ask(), ask()
			leave()
			return first() == "gzip" && second() == "gzip"
		})
	}
}

func takeAll(turns *Turns) (leave func()) {
	for range processors {
		turns.Wait()
	}
	return func() {
		for range processors {
			turns.Leave()
		}
	}
}
