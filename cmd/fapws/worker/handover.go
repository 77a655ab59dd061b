package worker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/http1conn"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
)

// A worker sends past events to a new worker, and a retiring worker sends its subscribers to its successor.

const (
	// A new worker keeps all events for the time holdFor. During this time, the new worker can take over subscribers
	// that have missed events.
	holdFor = time.Minute

	pieceWithin = 20 * time.Second
)

// give sends the history to another worker, through the channel in files.
func (r *relay) give(files []*os.File) {
	to, err := pool.ChannelOf(files[0])
	if err != nil {
		return
	}
	r.down.Add(func() { go giveHistory(to, r.s.server.Subscribers().History()) })
}

// giveHistory sends events to another worker. If sending fails, the receiving worker continues without the remaining
// events. It runs on a separate goroutine, so that clients of this worker need not wait.
func giveHistory(to *pool.Channel, events []*live.Event) {
	defer to.Close()
	_ = to.Send(&pool.Message{Kind: pool.Piece, Raw: live.Encode(events)})
}

type giver struct {
	from *pool.Channel
	last uint64
}

// takeHistory receives the history that another worker sends with giveHistory, but imports only events up to the number
// last. takeHistory returns an error if the sending worker has ended, or has sent nothing for the duration silence.
func takeHistory(s *runtime.Server, channel *pool.Channel, last uint64, silence time.Duration) error {
	m, _, err := channel.ReceiveWithin(silence)
	if err != nil {
		return err
	}
	return s.Subscribers().ImportHistory(m.Raw, last)
}

func (r *relay) take(m *pool.Message, files []*os.File) {
	var from *pool.Channel
	var err error
	if len(files) > 0 {
		if from, err = pool.ChannelOf(files[0]); err != nil {
			r.s.logAsWorker(logfile.Warning, " cannot take %s: %v", m.Text, err)
		}
	}
	switch {
	case m.Text == pool.History:
		// sending does not block, because the supervisor sends Take for the history only once
		r.history <- giver{from, m.Seq}
	case from != nil:
		r.taking.Add(1)
		// clients that are handed over may have missed events that this worker receives from now on
		r.down.Add(func() { r.s.server.HoldHistory(holdFor) })
		go r.takeSubscribers(from)
	}
}

// takeSubscribers serves the clients that another worker hands over, and runs on a separate goroutine.
func (r *relay) takeSubscribers(channel *pool.Channel) {
	defer r.taking.Done()
	defer channel.Close()
	n, refused := 0, error(nil)
	for {
		m, files, err := channel.ReceiveWithin(pieceWithin)
		if err != nil {
			r.s.logAsWorker(logfile.Warning, " did not receive all subscribers of another worker: %v", err)
			break
		}
		if len(m.Raw) == 0 {
			break
		}
		err = r.takeClient(m, files)
		pool.CloseFiles(files)
		if err == nil {
			n++
		} else {
			refused = err
		}
	}
	if refused != nil {
		r.s.logAsWorker(logfile.Warning, " cannot take over a client of another worker, which must reconnect: %v", refused)
	}
	r.s.logAsWorker(logfile.Debug, " has taken over %s", pool.Count(n, "client"))
}

var errNoFile = errors.New("descriptor missing; check the limit of open files")

func clientOf(m *pool.Message, files []*os.File, state any) (fd int, err error) {
	if err = json.Unmarshal(m.Raw, state); err != nil {
		return -1, err
	}
	if len(files) != 1 {
		return -1, errNoFile
	}
	return pool.Duplicate(files[0])
}

// takeClient serves an idle connection or a subscriber from another worker.
func (r *relay) takeClient(m *pool.Message, files []*os.File) error {
	if m.Text == pool.Idle {
		var idle http1conn.ClientState
		fd, err := clientOf(m, files, &idle)
		if err == nil {
			r.s.server.Arrive(&idle, fd)
		}
		return err
	}
	var subscriber live.StreamState
	fd, err := clientOf(m, files, &subscriber)
	if err == nil {
		err = r.s.server.Subscribers().Import(&subscriber, fd)
	}
	return err
}

func (p *Parent) inherit(files []*os.File) {
	if len(files) == 0 {
		return
	}
	if to, err := pool.ChannelOf(files[0]); err == nil {
		p.successor.Store(to)
	}
}

var errNoSuccessor = errors.New("no process replaces this one")

// wait returns when all received events are published in this process and all clients from other workers have arrived,
// or when ctx ends.
func (r *relay) wait(ctx context.Context) {
	settled := make(chan struct{})
	r.down.Add(func() {
		go func() {
			r.taking.Wait()
			close(settled)
		}()
	})
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// handIdleOver sends idle connections to the successor of this process, if any. The lock ensures that only one call
// runs at a time.
func (p *Parent) handIdleOver() {
	to := p.successor.Load()
	if to == nil {
		return
	}
	p.idle.Lock()
	defer p.idle.Unlock()
	n, err := p.s.server.HandIdle(func(d *http1conn.ClientState, fd int) error {
		return sendClient(to, pool.Idle, d, fd)
	})
	if err != nil {
		p.s.logAsWorker(logfile.Warning, " cannot hand idle connections over: %v; it has closed them", err)
	}
	p.s.logAsWorker(logfile.Debug, " has handed over %s", pool.Count(n, "idle connection"))
}

func sendClient(to *pool.Channel, kind string, state any, fd int) error {
	raw, err := json.Marshal(state)
	if err == nil {
		err = to.Send(&pool.Message{Kind: pool.Piece, Text: kind, Raw: raw}, fd)
	}
	return err
}

// handClientsOver sends all subscribers to the successor of this process. Without a successor, they are disconnected
// and must reconnect. handClientsOver runs on a separate goroutine.
func (p *Parent) handClientsOver(ctx context.Context) {
	s := p.s
	to := p.successor.Load()
	if to != nil {
		p.handIdleOver() // connections that became idle since the last call
		s.relay.wait(ctx)
	}
	n, err := s.server.Subscribers().Export(ctx, func(d *live.StreamState, fd int) error {
		if to == nil {
			return errNoSuccessor
		}
		return sendClient(to, "", d, fd)
	})
	if to == nil {
		return
	}
	defer to.Close()
	_ = to.Send(&pool.Message{Kind: pool.Piece}) // an error means that the successor has ended
	if err != nil && ctx.Err() == nil {
		s.logAsWorker(logfile.Warning, " cannot hand all subscribers over: %v; the others must reconnect", err)
	}
	s.logAsWorker(logfile.Debug, " has handed over %s", pool.Count(n, "subscriber"))
}
