package supervisor

import (
	"errors"
	"io/fs"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/banner"
	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// openSockets is bind.Early.Open.
func openSockets(names []string, options conn.ListenOptions) (addresses []pool.Address, err error) {
	for _, name := range names {
		plain, _ := settings.SplitSecure(name)
		socket, err := conn.ListeningSocket(plain, options)
		if err != nil {
			return addresses, bind.Failed(plain, err)
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
			return nil // the worker reports it
		}
		app = &found
	}
	names, certain := p.front.Passed.Early(p.plan.Settings, &p.conf, app)
	return p.early.Listen(names, certain, p.sockets)
}

// closeSockets is bind.Early.Close.
func (p *process) closeSockets(addresses []pool.Address) {
	for _, a := range addresses {
		a.Socket.Close()
	}
	removeSocketFiles(addresses, p.log)
}

// socketAddrs returns the addresses that the kernel knows.
func socketAddrs(addresses []pool.Address) (addrs []banner.Address) {
	for _, a := range addresses {
		if ln, err := conn.ListenerFromFile(a.Socket); err == nil {
			_, secure := settings.SplitSecure(a.Name)
			bind.SetSecure(ln, secure)
			addrs = append(addrs, banner.Of([]*conn.Listener{ln})...)
			ln.Close()
		}
	}
	return addrs
}

// removeSocketFiles removes the files of unix sockets that are no longer served.
func removeSocketFiles(addresses []pool.Address, log *logs.Logger) {
	for _, a := range addresses {
		switch err := conn.RemoveSocketFile(a.Name); {
		case errors.Is(err, fs.ErrPermission): // root made it, and we are not root any more
			log.Log(logfile.Info, err.Error()+"; the next start replaces it")
		case err != nil:
			log.Log(logfile.Warning, err.Error())
		}
	}
}
