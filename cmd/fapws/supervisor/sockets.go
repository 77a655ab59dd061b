package supervisor

import (
	"errors"
	"io/fs"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// openSockets is worker.Early.Open.
func openSockets(names []string, options conn.ListenOptions) (addresses []pool.Address, err error) {
	for _, name := range names {
		plain, _ := settings.SplitSecure(name)
		socket, err := conn.ListeningSocket(plain, options)
		if err != nil {
			return addresses, worker.BindFailed(plain, err)
		}
		addresses = append(addresses, pool.Address{Name: name, Socket: socket})
	}
	return addresses, nil
}

// bindEarly makes the sockets as far as the addresses are known before a worker has loaded.
func (p *supervisor) bindEarly() error {
	var app *plan.Application
	if all := p.plan.Site.Apps(); len(all) > 0 {
		found, err := plan.FindApplication(all[0].Name, all[0].Folder(), p.conf)
		if err != nil {
			return nil // the worker reports it
		}
		app = &found
	}
	names, certain := p.front.Passed.Early(p.plan.Settings, &p.conf, app)
	return p.early.Listen(names, certain, p.sockets)
}

// closeSockets is worker.Early.Close.
func (p *supervisor) closeSockets(addresses []pool.Address) {
	for _, a := range addresses {
		a.Socket.Close()
	}
	removeSocketFiles(addresses, p.log)
}

// socketAddrs returns the addresses that the kernel knows.
func socketAddrs(addresses []pool.Address) (addrs []worker.Address) {
	for _, a := range addresses {
		if ln, err := conn.ListenerFromFile(a.Socket); err == nil {
			_, secure := settings.SplitSecure(a.Name)
			worker.SetSecure(ln, secure)
			addrs = append(addrs, worker.BannerOf([]*conn.Listener{ln})...)
			ln.Close()
		}
	}
	return addrs
}

// removeSocketFiles removes the files of unix sockets that are no longer served.
func removeSocketFiles(addresses []pool.Address, log *plan.Logger) {
	for _, a := range addresses {
		switch err := conn.RemoveSocketFile(a.Name); {
		case errors.Is(err, fs.ErrPermission): // root made it, and we are not root any more
			log.Log(logfile.Info, err.Error()+"; the next start replaces it")
		case err != nil:
			log.Log(logfile.Warning, err.Error())
		}
	}
}
