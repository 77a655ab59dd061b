package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	settle   = time.Second
	patience = 20 * time.Second
)

// A listener collects how long events took. arrived gets a value for each event if the publisher waits for it.
type listener struct {
	mu      sync.Mutex
	took    []time.Duration
	last    time.Time
	arrived chan struct{}
}

// measure starts the servers: publishers use the first one, subscribers the second, and the others have no clients.
func measure(k kind, load row, servers int) (r result, err error) {
	folder, err := os.MkdirTemp("", "events")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(folder)
	ports := make([]int, 1+max(2, servers))
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return r, err
		}
	}
	broker, err := launch(ports[0], folder+"/redis.log", "redis-server", "--port", strconv.Itoa(ports[0]), "--bind",
		"127.0.0.1", "--save", "", "--dir", folder)
	if err != nil {
		return r, err
	}
	defer stop(broker)
	pids := make([]int, len(ports)-1)
	for i, port := range ports[1:] {
		args, err := k.command(port, ports[0], folder)
		if err != nil {
			return r, err
		}
		server, err := launch(port, filepath.Join(folder, fmt.Sprint(i)), k.program, args...)
		if err != nil {
			return r, err
		}
		defer stop(server)
		pids[i] = server.Process.Pid
	}
	l := &listener{arrived: make(chan struct{}, 1)}
	of := make([]int, load.channels) // subscribers of each channel
	for i := range load.subscribers {
		c, err := net.Dial("tcp", address(ports[2]))
		if err != nil {
			return r, err
		}
		defer c.Close()
		of[i%load.channels]++
		if err := l.listen(c, k.subscribe(channelName(i%load.channels))); err != nil {
			return r, err
		}
	}
	time.Sleep(settle)
	want := 0
	for i := range load.events {
		want += of[i%load.channels]
	}
	used := func() result { return result{near: cpu(pids[0]), far: cpu(pids[1]), redis: cpu(broker.Process.Pid)} }
	before := used()
	var ends sync.WaitGroup
	errs := make([]error, load.publishers)
	for i := range load.publishers {
		ends.Go(func() { errs[i] = l.publish(k, ports[1], i, load) })
	}
	ends.Wait()
	for _, err := range errs {
		if err != nil {
			return r, err
		}
	}
	for l.received() < want && time.Since(l.latest()) < patience {
		time.Sleep(time.Millisecond)
	}
	after := used()
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Sort(l.took); len(l.took) == 0 {
		return r, fmt.Errorf("no subscriber got an event")
	}
	return result{near: after.near - before.near, far: after.far - before.far, redis: after.redis - before.redis,
		p50: l.took[len(l.took)/2], p99: l.took[len(l.took)*99/100], lost: want - len(l.took)}, nil
}

func channelName(i int) string { return fmt.Sprintf("c%02d", i) }

func (l *listener) received() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took)
}

func (l *listener) latest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// listen subscribes over c. Each event has the time of its publication between two signs @.
func (l *listener) listen(c net.Conn, target string) error {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", target)
	in := bufio.NewReaderSize(c, 64<<10)
	line, err := in.ReadString('\n')
	if err != nil || !bytes.Contains([]byte(line), []byte(" 200 ")) {
		return fmt.Errorf("%s: %q, %v", target, line, err)
	}
	go func() {
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if _, rest, found := bytes.Cut(line, []byte("@")); found {
				text, _, _ := bytes.Cut(rest, []byte("@"))
				sent, _ := strconv.ParseInt(string(text), 10, 64)
				l.mu.Lock()
				l.last = time.Now()
				l.took = append(l.took, l.last.Sub(time.Unix(0, sent)))
				l.mu.Unlock()
				select {
				case l.arrived <- struct{}{}:
				default:
				}
			}
		}
	}()
	return nil
}

// publish sends the events of a publisher, one request after another.
func (l *listener) publish(k kind, port, first int, load row) error {
	c, err := net.Dial("tcp", address(port))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
	in := bufio.NewReader(c)
	for i := first; i < load.events; i += load.publishers {
		text := k.publish(channelName(i%load.channels), fmt.Sprintf("@%d@", time.Now().UnixNano()))
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		if err := skipResponse(in); err != nil {
			return err
		}
		if load.publishers > 1 {
			continue
		}
		select {
		case <-l.arrived:
		case <-time.After(patience):
			return fmt.Errorf("event %d does not arrive", i)
		}
	}
	return nil
}

// skipResponse reads a response of status 200 or 204 with its body.
func skipResponse(reader *bufio.Reader) error {
	status, length := "", 0
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		if status == "" {
			status = line
		}
		if name, value, found := bytes.Cut([]byte(line), []byte(":")); found && bytes.EqualFold(name, []byte("Content-Length")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if line == "\r\n" {
			break
		}
	}
	if _, err := reader.Discard(length); err != nil {
		return err
	}
	if len(status) < 12 || status[9] != '2' {
		return fmt.Errorf("response %q", status)
	}
	return nil
}
