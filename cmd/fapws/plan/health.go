package plan

import (
	"errors"
	"slices"
	"sync/atomic"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/login"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// health puts the answers to health checks before everything else of each host: a load balancer has no password, asks over HTTP and by
// the address of the machine, and gets no redirect.
func (b *builder) health() error {
	mounts, err := health(b.parts.Conf.Health, b.parts.Pending, b.parts.Stops)
	for i := range b.built.Sites {
		s := &b.built.Sites[i]
		s.Table = append(slices.Clone(mounts), s.Table...)
	}
	return err
}

// health returns the mounts for health checks below prefix; "": none.
func health(prefix string, pending bool, stops *atomic.Bool) ([]sites.Mount, error) {
	if prefix == "" {
		return nil, nil
	}
	var errs []error
	answer := func(status int, body string) *static.Fixed {
		f, err := static.NewFixed(static.FixedOptions{Status: status, Body: body, Fields: []exchange.Field{{Name: "Cache-Control", Value: "no-store"}}})
		errs = append(errs, err)
		return f
	}
	alive := answer(200, "alive\n")
	ready := &readiness{serves: answer(200, "ready\n"), stopping: answer(503, "stopping\n"), stops: stops}
	if pending {
		ready.serves = answer(503, "starting\n")
	}
	return []sites.Mount{{Prefix: prefix + "/ready", Source: ready, Open: true}, {Prefix: prefix, Source: alive, Open: true}}, errors.Join(errs...)
}

// Waiting makes a site that has every request wait for others, but answers health checks: those of a process that is asleep.
func Waiting(conf *settings.Config, stops *atomic.Bool) (*Built, error) {
	mounts, err := health(conf.Health, false, stops)
	return &Built{Sites: []sites.Site{{Table: append(mounts, sites.Mount{Prefix: "/", Pending: true})}}}, err
}

// readiness answers whether the server should get requests. It is an exchange.Source.
type readiness struct {
	exchange.Memory
	serves, stopping *static.Fixed
	stops            *atomic.Bool // see Parts; nil: never
}

// Start implements exchange.Source.
func (r *readiness) Start(x *exchange.Exchange) {
	if r.stops != nil && r.stops.Load() {
		r.stopping.Start(x)
		return
	}
	r.serves.Start(x)
}

// maxStatus is how many requests the status page answers at a time.
const maxStatus = 64

// statusPage puts the status page before everything else of each host. The rules of the host are for it, too: who has to log in, who
// may ask. Where users log in by a form, clients on this machine need not: the page has its own rules for them, and not all can.
func (b *builder) statusPage() {
	if b.parts.Status == nil || b.parts.Conf.Status == "" {
		return
	}
	pool := backend.New(maxStatus, func(line string) { b.parts.Log(logfile.Error, line) }) // Upstreams does not count it
	m := sites.Mount{Prefix: b.parts.Conf.Status, Except: []string{login.FormPath, login.OutPath}, LocalWithoutLogin: true, OwnPolicy: true, Handler: pool, Index: pool.Add(b.parts.Status)}
	for i := range b.built.Sites {
		s, m := &b.built.Sites[i], m
		if at := slices.IndexFunc(s.Table, func(m sites.Mount) bool { return m.Login != nil }); at >= 0 { // of an entry of PATHS
			m.Login = s.Table[at].Login
		}
		s.Table = append([]sites.Mount{m}, s.Table...)
	}
}
