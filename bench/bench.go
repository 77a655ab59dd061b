package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const idleConnections = 5000

// settleTime is the pause after the first requests, before memory is measured. After a second, fapws returns unused
// memory to the system.
const settleTime = 2 * time.Second

type key struct{ workload, server string }

type bench struct {
	settings
	servers []*server
	results map[key][]sample
	done    []comparison
	leftOut []string // servers that were not measured, as "name: reason"
}

type comparison struct {
	workload
	who []string
}

func (b *bench) leave(reason string) {
	fmt.Println("left out: " + reason)
	if !slices.Contains(b.leftOut, reason) {
		b.leftOut = append(b.leftOut, reason)
	}
}

// measure takes one sample of each server in turn, so that other load on the machine affects all servers.
func (b *bench) measure(w workload) error {
	var who []string
	var err error
	switch w.kind {
	case startup:
		who, err = b.measureStartup(&w)
	case idle:
		who, err = b.measureEach(&w, b.idleOf)
	case reload:
		who, err = b.measureEach(&w, b.reloadsOf)
	case sockets:
		who, err = b.measureEach(&w, b.socketsOf)
	case subscribers:
		who, err = b.measureEach(&w, b.subscribersOf)
	case slowly:
		who, err = b.measureSlow(&w)
	default:
		who, err = b.measureLoad(&w)
	}
	if err == nil {
		b.printWorkload(&w, who)
		b.done = append(b.done, comparison{w, who})
	}
	return err
}

func (b *bench) add(w *workload, server string, s sample) {
	k := key{w.name, server}
	b.results[k] = append(b.results[k], s)
}

func (b *bench) measureLoad(w *workload) (servers []string, err error) {
	cpu, lua := clientCPU, filepath.Join(filepath.Dir(b.apps), "lua")
	if w.sameCPU {
		cpu = serverCPU
	}
	stop, err := startOrigin(w, &b.settings)
	if err != nil {
		return nil, err
	}
	defer stop()
	var processes []*process
	for _, s := range b.servers {
		if !w.servedBy(s) {
			continue
		}
		p, err := start(s, w, &b.settings)
		if err != nil {
			b.leave(s.name + ": " + err.Error())
			continue
		}
		defer p.stop()
		if err := p.warmUp(w, lua, cpu); err != nil {
			b.leave(err.Error())
			continue
		}
		processes, servers = append(processes, p), append(servers, s.name)
	}
	for range b.rounds {
		for _, p := range processes {
			taken, err := undisturbed(func() (sample, error) { return b.round(p, w, lua, cpu) })
			if err != nil {
				return nil, err
			}
			b.add(w, p.server.name, taken)
		}
	}
	return servers, nil
}

// If the workload has clients that request /slow, round first takes a sample without these clients, for comparison.
func (b *bench) round(p *process, w *workload, lua string, cpu int) (sample, error) {
	switch w.kind {
	case echoing:
		return p.echoWith(w, b.length)
	case passing:
		return p.passWith(w, b.length)
	case handshaking:
		return p.handshakesOf(w, b.length)
	case overHTTP2:
		return p.http2Of(w, b.length)
	case distant:
		return p.postFrom(w, b.length)
	}
	if w.sitters == 0 {
		return p.loadWith(w, lua, b.length, cpu)
	}
	alone, err := p.loadWith(w, lua, b.length, cpu)
	if err != nil {
		return sample{}, err
	}
	stopSitting := p.sit(w.sitters)
	defer stopSitting()
	taken, err := p.loadWith(w, lua, b.length, cpu)
	taken.alone = alone.rate
	return taken, err
}

func (p *process) warmUp(w *workload, lua string, cpu int) error {
	if _, err := p.waitReady("/hello"); err != nil {
		return err
	}
	if w.kind == echoing {
		_, err := p.echoWith(w, time.Second)
		return err
	}
	if w.kind == passing {
		_, err := p.passWith(w, time.Second)
		return err
	}
	if w.kind == distant {
		return nil
	}
	if err := p.check(w); err != nil {
		return err
	}
	var err error
	switch w.kind {
	case handshaking:
		_, err = p.handshakesOf(w, time.Second)
	case overHTTP2:
		_, err = p.http2Of(w, time.Second)
	default:
		_, err = p.loadWith(w, lua, time.Second, cpu)
	}
	return err
}

func (b *bench) measureEach(w *workload, measure func(*server, *workload) (sample, error)) (servers []string, err error) {
	for _, s := range b.servers {
		if !w.servedBy(s) {
			continue
		}
		taken, err := measure(s, w)
		if err != nil {
			b.leave(err.Error())
			continue
		}
		servers = append(servers, s.name)
		b.add(w, s.name, taken)
	}
	return servers, nil
}

// idleOf measures the memory of idle connections, each of which has carried a request.
func (b *bench) idleOf(s *server, w *workload) (sample, error) {
	p, err := start(s, w, &b.settings)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := p.waitReady(w.path); err != nil {
		return sample{}, err
	}
	// Wait until the server has released unused memory. Otherwise, a later release would reduce the measured memory of
	// the connections.
	time.Sleep(settleTime)
	before := p.memory()
	conns, err := p.openIdle(w.path, idleConnections)
	after := p.memory()
	for _, c := range conns {
		c.Close()
	}
	if err != nil {
		return sample{}, fmt.Errorf("%s: after %d idle connections: %w", s.name, len(conns), err)
	}
	return sample{memory: after, each: (after - before) / idleConnections}, nil
}
