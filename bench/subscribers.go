package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// The workload "subscribers": each client has one connection for server-sent events (HTML §9.2), and all clients
// receive each event.

const (
	idleFor      = 5 * time.Second
	publishEvery = 200 * time.Millisecond
	publishTimes = 10
)

type subscriber struct {
	fd     int
	events int // received events, including an incomplete one
}

func (p *process) listen(path string) (*subscriber, error) {
	conn, err := net.DialTimeout("tcp", address(p.port), 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // closes only this object; the duplicate of its descriptor stays open
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address(p.port))
	var got []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte("\n\n\r\n")); {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("%s: %w after %q", p.server.name, err, got)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
		return nil, fmt.Errorf("%s: %q", p.server.name, got)
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
	return &subscriber{fd: fd}, unix.SetNonblock(fd, true)
}

// After an error, listenAll also returns the open streams.
func (p *process) listenAll(path string, n int) (subscribers []*subscriber, err error) {
	for range n {
		one, err := p.listen(path)
		if err != nil {
			return subscribers, fmt.Errorf("after %d subscribers: %w", len(subscribers), err)
		}
		subscribers = append(subscribers, one)
	}
	return subscribers, nil
}

func hangUp(subscribers []*subscriber) {
	for _, one := range subscribers {
		unix.Close(one.fd)
	}
}

func await(subscribers []*subscriber, n int) error {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(poll)
	open := 0
	for i, one := range subscribers {
		if one.events >= n {
			continue
		}
		open++
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, one.fd,
			&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	for open > 0 {
		ready, err := unix.EpollWait(poll, events, 20_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || ready == 0 {
			return fmt.Errorf("%d of %d subscribers have not got everything: %v", open, len(subscribers), err)
		}
		for _, event := range events[:ready] {
			one := subscribers[event.Fd]
			size, err := unix.Read(one.fd, buf)
			if err == unix.EAGAIN || err == unix.EINTR {
				continue
			}
			if err != nil || size <= 0 {
				return fmt.Errorf("a subscriber was cut off: %v", err)
			}
			if one.events += bytes.Count(buf[:size], []byte("\ndata: ")); one.events >= n {
				open--
				_ = unix.EpollCtl(poll, unix.EPOLL_CTL_DEL, one.fd, nil)
			}
		}
	}
	return nil
}

func (p *process) publish(client *http.Client) error {
	answer, err := client.Post(p.url("/post"), "text/plain", nil)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s answers /post with %s", p.server.name, answer.Status)
	}
	return nil
}

// ask sends requests, and returns their durations. Meanwhile, ask calls the function beside at intervals of
// publishEvery.
func (p *process) ask(w *workload, length time.Duration, beside func() error) (times []time.Duration, err error) {
	hello := &workload{path: "/hello", length: w.length}
	c := &strictClient{process: p, workload: hello, keep: true}
	defer c.hangUp()
	next := time.Now().Add(publishEvery)
	for end := time.Now().Add(length); time.Now().Before(end); {
		begin := time.Now()
		if err := c.ask(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
		if beside != nil && time.Now().After(next) {
			next = next.Add(publishEvery)
			if err := beside(); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(times)
	return times, nil
}

func (b *bench) subscribersOf(s *server, w *workload) (taken sample, err error) {
	p, err := start(s, w, &b.settings)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := p.waitReady("/hello"); err != nil {
		return sample{}, err
	}
	client := &http.Client{Timeout: 20 * time.Second}
	// Start measuring after the first subscriber, because the server allocates some memory only once.
	first, err := p.listenAll(w.path, 1)
	defer func() { hangUp(first) }()
	if err != nil {
		return sample{}, err
	}
	if err := p.publish(client); err != nil {
		return sample{}, err
	}
	if err := await(first, 1); err != nil {
		return sample{}, err
	}
	alone, err := p.ask(w, publishTimes*publishEvery, nil)
	if err != nil {
		return sample{}, err
	}
	time.Sleep(settleTime)
	before := p.memory()
	all, err := p.listenAll(w.path, w.connections)
	defer func() { hangUp(all) }()
	if err != nil {
		return sample{}, err
	}
	time.Sleep(settleTime)
	used := p.cpu()
	time.Sleep(idleFor)
	taken.idle = float64(p.cpu()-used) / float64(idleFor)
	taken.memory = p.memory()
	taken.each = (taken.memory - before) / int64(w.connections)

	all = append(all, first...)
	first = nil
	all[len(all)-1].events = 0
	var took []time.Duration
	for n := range publishTimes {
		begin := time.Now()
		if err := p.publish(client); err != nil {
			return sample{}, err
		}
		if err := await(all, n+1); err != nil {
			return sample{}, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	taken.took = took[len(took)/2]

	// The subscribers do not read meanwhile, so that they use no CPU during the measurement.
	published := 0
	times, err := p.ask(w, publishTimes*publishEvery, func() error {
		published++
		return p.publish(client)
	})
	if err != nil {
		return sample{}, err
	}
	if err := await(all, publishTimes+published); err != nil {
		return sample{}, err
	}
	taken.p99, taken.before = times[len(times)*99/100], alone[len(alone)*99/100]
	return taken, nil
}
