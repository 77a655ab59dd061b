package main

import (
	"net"
	"slices"
	"sync"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
)

// earlyListeners are those of a process without a supervisor, until listen takes them.
type earlyListeners struct {
	mu        sync.Mutex // a signal may end the process meanwhile
	addrs     []string
	backlog   int
	listeners []net.Listener
}

// listenEarly listens as far as the addresses are known before the application is loaded.
func (s *service) listenEarly() error {
	addrs, certain := s.front.Passed.Early(s.plan.Settings, &s.conf, s.plan.FirstApp())
	options, err := bind.Options(&s.conf)
	if err != nil {
		return err
	}
	listeners, err := bind.Listen(addrs, options)
	if err == nil {
		err = keepFromChildren(listeners)
	}
	if err != nil && certain {
		return err
	}
	if err == nil {
		s.early.mu.Lock()
		s.early.addrs, s.early.backlog, s.early.listeners = addrs, s.conf.Backlog, listeners
		s.early.mu.Unlock()
	}
	return nil
}

// listen binds what the settings say.
func (s *service) listen() ([]net.Listener, error) {
	options, err := bind.Options(&s.conf)
	if err != nil {
		return nil, err
	}
	addrs, err := s.front.Passed.Addresses(&s.conf, s.plan.Settings.Source("bind"), s.log.Log)
	if err != nil {
		return nil, err
	}
	if early := s.early.take(addrs, s.conf.Backlog); early != nil {
		return early, nil
	}
	return bind.Listen(addrs, options)
}

// take returns the listeners if they are those of addrs, and closes them otherwise.
func (e *earlyListeners) take(addrs []string, backlog int) []net.Listener {
	if !slices.Equal(addrs, e.addrs) {
		e.close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	listeners := e.listeners
	e.listeners = nil
	if backlog != e.backlog {
		for _, ln := range listeners {
			runtime.SetBacklog(ln, backlog)
		}
	}
	return listeners
}

// close closes the listeners, and removes the files of unix sockets.
func (e *earlyListeners) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ln := range e.listeners {
		ln.Close()
	}
	e.listeners = nil
}

// bind makes the sockets of the workers. What it has made when it fails is in addresses.
func (v *overseer) bind(names []string, options runtime.ListenOptions) (addresses []pool.Address, err error) {
	for _, name := range names {
		files, err := runtime.Sockets(name, v.workers(), options)
		if err != nil {
			return addresses, bind.Failed(name, err)
		}
		addresses = append(addresses, pool.Address{Name: name, Sockets: files})
	}
	return addresses, nil
}

// bindEarly makes the sockets as far as the addresses are known before a worker has loaded.
func (v *overseer) bindEarly() error {
	var app *application.Application
	if all := v.plan.Site.Apps(); len(all) > 0 {
		found, err := application.Find(all[0].Name, all[0].Folder(), v.conf)
		if err != nil {
			return nil // a worker says it
		}
		app = &found
	}
	names, certain := v.front.Passed.Early(v.plan.Settings, &v.conf, app)
	options := v.sockets
	options.Backlog = v.conf.Backlog
	addresses, err := v.bind(names, options)
	v.early, v.earlyNames = addresses, names
	if err != nil {
		v.dropEarly()
	}
	if err != nil && certain {
		return err
	}
	return nil
}

// takeEarly returns the sockets of bindEarly if they are those of names, and closes them otherwise.
func (v *overseer) takeEarly(names []string, backlog int) []pool.Address {
	if v.early == nil || !slices.Equal(names, v.earlyNames) {
		v.dropEarly()
		return nil
	}
	addresses := v.early
	v.early = nil
	if backlog != v.conf.Backlog {
		for _, a := range addresses {
			for _, f := range a.Sockets {
				runtime.SetBacklog(f, backlog)
			}
		}
	}
	return addresses
}

// dropEarly closes the sockets of bindEarly that nothing has taken.
func (v *overseer) dropEarly() {
	for _, a := range v.early {
		for _, f := range a.Sockets {
			f.Close()
		}
	}
	removeSocketFiles(v.early, v.log)
	v.early = nil
}
