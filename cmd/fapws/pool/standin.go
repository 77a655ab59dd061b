package pool

import (
	"fmt"
	"slices"

	"fapws/runtime/loglevel"
)

// Failures: with Options.FailurePage, browsers are told why new code does not
// load. Workers that serve get the page as a Notice. If there has never been
// one, a stand-in serves, a worker without an application, until there is.

// showFailure makes the page about w and shows it.
func (s *Pool) showFailure(w *worker) {
	if s.o.FailurePage == nil {
		return
	}
	var said []byte
	if w != nil {
		said = w.hearing.words()
	}
	s.page = s.o.FailurePage(s.failure, said)
	for _, p := range s.slots {
		if p.worker != nil {
			s.sendPage(p.worker)
		}
	}
	if s.first() && s.standIn == nil {
		s.startStandIn()
	}
}

// sendPage shows w the page of the last failure, if that was the last word.
func (s *Pool) sendPage(w *worker) {
	if s.page != "" {
		w.send(&Message{Kind: Notice, Text: s.page})
	}
}

func (s *Pool) startStandIn() {
	w, err := s.startAs(self, StandIn)
	if err != nil {
		s.o.Log(loglevel.Error, fmt.Sprintf("cannot start a worker that shows it: %v", err))
		return
	}
	s.standIn = w
}

// stand lets the stand-in serve, now that it could.
func (s *Pool) stand(w *worker) {
	if !s.first() || s.stopping {
		w.end(Quit)
		return
	}
	if err := s.open(w.settled); err != nil {
		s.fail(err)
		return
	}
	w.slot = &slot{s: s, worker: w}
	s.slots = []*slot{w.slot}
	w.setState(Serving)
	s.sendPage(w)
	s.share()
	s.tellEvent(Event{Kind: StoodIn, Addresses: s.addresses})
}

// standInDied is called when the stand-in has died.
func (s *Pool) standInDied(w *worker, how string) {
	s.standIn = nil
	if w.slot != nil && s.first() {
		s.slots = nil
	}
	if !s.stopping && s.first() {
		s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d, which showed the failure, %s", w.pid, how))
	}
}

// open makes the addresses those of settled. A stand-in may have had others.
func (s *Pool) open(settled *Settled) error {
	addresses, err := s.o.Open(settled)
	if err != nil {
		return err
	}
	for _, old := range s.addresses {
		if !slices.Contains(addresses, old) {
			old.Socket.Close()
		}
	}
	s.addresses = addresses
	return nil
}
