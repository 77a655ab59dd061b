package site

import (
	"errors"
	"sync/atomic"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/sites"
	"fapws/runtime/source/fixed"
)

// health puts the answers to health checks before everything else of each host: a load balancer has no password, asks over HTTP and by
// the address of the machine, and gets no redirect.
func (b *builder) health() error {
	prefix := b.parts.Conf.Health
	if prefix == "" {
		return nil
	}
	var errs []error
	answer := func(status int, body string) *fixed.Fixed {
		f, err := fixed.New(fixed.Options{Status: status, Body: body, Fields: []header.Field{{Name: "Cache-Control", Value: "no-store"}}})
		errs = append(errs, err)
		return f
	}
	alive := answer(200, "alive\n")
	ready := &readiness{serves: answer(200, "ready\n"), stopping: answer(503, "stopping\n"), stops: b.parts.Stops}
	if b.parts.Pending {
		ready.serves = answer(503, "starting\n")
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range b.built.Sites {
		s := &b.built.Sites[i]
		s.Table = append([]sites.Mount{{Prefix: prefix + "/ready", Source: ready, Open: true}, {Prefix: prefix, Source: alive, Open: true}}, s.Table...)
	}
	return nil
}

// readiness answers whether the server should get requests. It is an exchange.Source.
type readiness struct {
	exchange.Memory
	serves, stopping *fixed.Fixed
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
