package site

import (
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
	fresh := []header.Field{{Name: "Cache-Control", Value: "no-store"}}
	alive, err := fixed.New(fixed.Options{Body: "alive\n", Fields: fresh})
	if err != nil {
		return err
	}
	ready := fixed.Options{Body: "ready\n", Fields: fresh}
	if b.parts.Pending {
		ready = fixed.Options{Status: 503, Body: "starting\n", Fields: fresh}
	}
	serves, err := fixed.New(ready)
	if err != nil {
		return err
	}
	for i := range b.built.Sites {
		s := &b.built.Sites[i]
		s.Table = append([]sites.Mount{{Prefix: prefix + "/ready", Source: serves, Open: true}, {Prefix: prefix, Source: alive, Open: true}}, s.Table...)
	}
	return nil
}
