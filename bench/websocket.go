package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A load generator for WebSockets (RFC 6455) on one thread, without extensions, so that no server compresses. It sends
// the next message on a connection when the previous message was echoed.

const messageSize = 64 // in bytes

type socket struct {
	fd      int
	message [messageSize]byte
	sent    time.Time
	id      uint32
	number  uint32
	key     uint32
	in      []byte
}

func (p *process) upgrade(path string) (*socket, error) {
	conn, err := net.DialTimeout("tcp", address(p.port), 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // the duplicate of the descriptor stays open
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	nonce := make([]byte, 16)
	binary.LittleEndian.PutUint64(nonce, rand.Uint64())
	key := base64.StdEncoding.EncodeToString(nonce)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, address(p.port), key)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: handshake: %w", p.server.name, err)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if answer.StatusCode != http.StatusSwitchingProtocols ||
		answer.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s: handshake: %s", p.server.name, answer.Status)
	}
	if reader.Buffered() > 0 {
		return nil, fmt.Errorf("%s speaks before it is asked", p.server.name)
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &socket{fd: fd, id: rand.Uint32(), key: rand.Uint32()}, unix.SetNonblock(fd, true)
}

// After an error, upgradeAll also returns the open WebSockets.
func (p *process) upgradeAll(path string, n int) (sockets []*socket, err error) {
	for range n {
		s, err := p.upgrade(path)
		if err != nil {
			return sockets, fmt.Errorf("after %d WebSockets: %w", len(sockets), err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func closeAll(sockets []*socket) {
	for _, s := range sockets {
		unix.Close(s.fd)
	}
}

// send sends a unique text in one masked frame (RFC 6455 §5.2). The frame is so short that one write to the socket is
// enough.
func (s *socket) send() error {
	s.number++
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	for i, rest := 0, uint64(s.number)<<32|uint64(s.id); i < len(s.message); i++ {
		s.message[i] = letters[rest&31]
		rest = rest>>5 | rest<<59
	}
	var frame [6 + messageSize]byte
	frame[0], frame[1] = 0x81, 0x80|messageSize // text frame with FIN and a mask
	s.key = s.key*1664525 + 1013904223
	binary.LittleEndian.PutUint32(frame[2:6], s.key)
	for i, b := range s.message {
		frame[6+i] = b ^ frame[2+i&3]
	}
	s.sent = time.Now()
	n, err := unix.Write(s.fd, frame[:])
	if err == nil && n < len(frame) {
		err = fmt.Errorf("a frame does not fit in the socket")
	}
	return err
}

func (s *socket) receive() (whole bool, err error) {
	var buffer [4096]byte
	n, err := unix.Read(s.fd, buffer[:])
	switch {
	case err == unix.EAGAIN:
		return false, nil
	case err != nil:
		return false, err
	case n == 0:
		return false, fmt.Errorf("the server has left")
	}
	s.in = append(s.in, buffer[:n]...)
	for {
		if len(s.in) < 2 || len(s.in) < 2+int(s.in[1]&0x7f) {
			return false, nil
		}
		opcode, frame := s.in[0], s.in[2:2+int(s.in[1]&0x7f)]
		switch {
		case s.in[1] > 125:
			return false, fmt.Errorf("a frame with the length byte %#x", s.in[1])
		// Ignore a ping, which the client need not answer during a short measurement.
		case opcode == 0x89:
			s.in = slices.Delete(s.in, 0, 2+len(frame))
			continue
		case opcode != 0x81 || !bytes.Equal(frame, s.message[:]):
			return false, fmt.Errorf("frame %#x with %q instead of %q", opcode, frame, s.message)
		case len(s.in) > 2+len(frame):
			return false, fmt.Errorf("more than the answer: %q", s.in[2+len(frame):])
		}
		s.in = s.in[:0]
		return true, nil
	}
}

// echo makes all sockets send and receive until length has passed, or once if length is 0. It returns the duration of
// each echo, or an error if an echo is wrong.
func echo(sockets []*socket, length time.Duration) (latencies []time.Duration, err error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(poll)
	begin := time.Now()
	for i, s := range sockets {
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, s.fd,
			&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return nil, err
		}
		if err := s.send(); err != nil {
			return nil, err
		}
	}
	events := make([]unix.EpollEvent, 256)
	for open := len(sockets); open > 0; {
		n, err := unix.EpollWait(poll, events, 10_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fmt.Errorf("%d messages did not come back in 10 s", open)
		}
		for _, event := range events[:n] {
			s := sockets[event.Fd]
			whole, err := s.receive()
			if err != nil {
				return nil, err
			}
			if !whole {
				continue
			}
			now := time.Now()
			latencies = append(latencies, now.Sub(s.sent))
			if now.Sub(begin) >= length {
				open--
				continue
			}
			if err := s.send(); err != nil {
				return nil, err
			}
		}
	}
	return latencies, nil
}

func (p *process) echoWith(w *workload, length time.Duration) (sample, error) {
	sockets, err := p.upgradeAll(w.path, w.connections)
	defer func() { closeAll(sockets) }()
	if err != nil {
		return sample{}, err
	}
	before, begin := p.cpu(), time.Now()
	latencies, err := echo(sockets, length)
	took, used := time.Since(begin), p.cpu()-before
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", p.server.name, err)
	}
	slices.Sort(latencies)
	n := len(latencies)
	time.Sleep(settle)
	return sample{requests: n, rate: float64(n) / took.Seconds(), cpu: used / time.Duration(n),
		p50: latencies[n/2], p99: latencies[n*99/100], memory: p.memory()}, nil
}

func (b *bench) socketsOf(s *server, w *workload) (sample, error) {
	p, err := start(s, w, &b.settings)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := p.waitReady("/hello"); err != nil {
		return sample{}, err
	}
	// Start measuring after the first WebSocket, because the server allocates some memory only once.
	first, err := p.upgradeAll(w.path, 1)
	defer closeAll(first)
	if err != nil {
		return sample{}, err
	}
	if _, err := echo(first, 0); err != nil {
		return sample{}, fmt.Errorf("%s: %w", s.name, err)
	}
	time.Sleep(settleTime)
	before := p.memory()
	sockets, err := p.upgradeAll(w.path, w.connections)
	defer func() { closeAll(sockets) }()
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	latencies, err := echo(sockets, 0)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", s.name, err)
	}
	took := time.Since(begin)
	after := p.memory()
	return sample{took: took, requests: len(latencies), memory: after, each: (after - before) / int64(w.connections)},
		nil
}
