package supervisor

import (
	"errors"
	"io/fs"
	"net"
	"slices"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/pool"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
)

// bind makes the sockets of the workers. What it has made when it fails is in addresses.
func (p *process) bind(names []string, options listen.Options) (addresses []pool.Address, err error) {
	for _, name := range names {
		socket, err := listen.Socket(name, options)
		if err != nil {
			return addresses, bind.Failed(name, err)
		}
		addresses = append(addresses, pool.Address{Name: name, Socket: socket})
	}
	return addresses, nil
}

// bindEarly makes the sockets as far as the addresses are known before a worker has loaded.
func (p *process) bindEarly() error {
	var app *application.Application
	if all := p.plan.Site.Apps(); len(all) > 0 {
		found, err := application.Find(all[0].Name, all[0].Folder(), p.conf)
		if err != nil {
			return nil // a worker says it
		}
		app = &found
	}
	names, certain := p.front.Passed.Early(p.plan.Settings, &p.conf, app)
	options := p.sockets
	options.Backlog = p.conf.Backlog
	addresses, err := p.bind(names, options)
	p.early, p.earlyNames = addresses, names
	if err != nil {
		p.dropEarly()
	}
	if err != nil && certain {
		return err
	}
	return nil
}

// takeEarly returns the sockets of bindEarly if they are those of names, and closes them otherwise.
func (p *process) takeEarly(names []string, backlog int) []pool.Address {
	if p.early == nil || !slices.Equal(names, p.earlyNames) {
		p.dropEarly()
		return nil
	}
	addresses := p.early
	p.early = nil
	if backlog != p.conf.Backlog {
		for _, a := range addresses {
			listen.SetBacklog(a.Socket, backlog)
		}
	}
	return addresses
}

// dropEarly closes the sockets of bindEarly that nothing has taken.
func (p *process) dropEarly() {
	for _, a := range p.early {
		a.Socket.Close()
	}
	removeSocketFiles(p.early, p.log)
	p.early = nil
}

// socketAddrs returns the addresses that the kernel knows.
func socketAddrs(addresses []pool.Address) (addrs []net.Addr) {
	for _, a := range addresses {
		if ln, err := listen.FromFile(a.Socket); err == nil {
			addrs = append(addrs, ln.Addr())
			ln.Close()
		}
	}
	return addrs
}

// removeSocketFiles removes those of unix sockets that are no longer served.
func removeSocketFiles(addresses []pool.Address, log *logs.Logger) {
	for _, a := range addresses {
		switch err := listen.RemoveSocketFile(a.Name); {
		case errors.Is(err, fs.ErrPermission): // root made it, and we are not root any more
			log.Log(loglevel.Info, err.Error()+"; the next start replaces it")
		case err != nil:
			log.Log(loglevel.Warning, err.Error())
		}
	}
}
