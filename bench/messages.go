package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

const largeMessage = 256 << 10 // in bytes

// passWith makes each WebSocket send a large message, and the next one when the message was echoed. The mask of the
// frames is 0, so that the load generator needs little time; servers apply it as any other.
func (p *process) passWith(w *workload, length time.Duration) (sample, error) {
	sockets, err := p.upgradeAll(w.path, w.connections)
	if err != nil {
		closeAll(sockets)
		return sample{}, err
	}
	frame := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, largeMessage)
	frame = append(append(frame, 0, 0, 0, 0), bytes.Repeat([]byte("m"), largeMessage)...)
	var all sync.WaitGroup
	var mu sync.Mutex
	var latencies []time.Duration
	var failed error
	before, begin := p.cpu(), time.Now()
	for _, s := range sockets {
		all.Go(func() {
			file := os.NewFile(uintptr(s.fd), "socket")
			defer file.Close()
			took, err := pass(file, frame, begin.Add(length))
			mu.Lock()
			defer mu.Unlock()
			latencies, failed = append(latencies, took...), cmp.Or(failed, err)
		})
	}
	all.Wait()
	took, used := time.Since(begin), p.cpu()-before
	if failed != nil {
		return sample{}, fmt.Errorf("%s: %w", p.server.name, failed)
	}
	slices.Sort(latencies)
	n := len(latencies)
	time.Sleep(settle)
	return sample{requests: n, rate: float64(n) / took.Seconds(), cpu: used / time.Duration(n),
		p50: latencies[n/2], p99: latencies[n*99/100], memory: p.memory()}, nil
}

// pass sends frame to socket until the time end, and returns how long each echo took.
func pass(socket io.ReadWriter, frame []byte, deadline time.Time) (took []time.Duration, err error) {
	echo := make([]byte, len(frame)-4)
	for len(took) == 0 || time.Now().Before(deadline) {
		sent := time.Now()
		written := make(chan error, 1)
		go func() {
			_, err := socket.Write(frame)
			written <- err
		}()
		if _, err = io.ReadFull(socket, echo); err != nil {
			return took, err
		}
		if err = <-written; err != nil {
			return took, err
		}
		if !bytes.Equal(echo[10:], frame[14:]) {
			return took, fmt.Errorf("another message came back")
		}
		took = append(took, time.Since(sent))
	}
	return took, nil
}
