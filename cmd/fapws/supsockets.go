package main

import (
	"errors"
	"io/fs"
	"net"
	"slices"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
)

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

// socketAddrs returns the addresses that the kernel knows.
func socketAddrs(addresses []pool.Address) (addrs []net.Addr) {
	for _, a := range addresses {
		if ln, err := runtime.FromFile(a.Sockets[0]); err == nil {
			addrs = append(addrs, ln.Addr())
			ln.Close()
		}
	}
	return addrs
}

// removeSocketFiles removes those of unix sockets that nobody serves any more.
func removeSocketFiles(addresses []pool.Address, log *logs.Logger) {
	for _, a := range addresses {
		switch err := runtime.RemoveSocketFile(a.Name); {
		case errors.Is(err, fs.ErrPermission): // root made it, and we are not root any more
			log.Log(runtime.LevelInfo, err.Error()+"; the next start replaces it")
		case err != nil:
			log.Log(runtime.LevelWarning, err.Error())
		}
	}
}
