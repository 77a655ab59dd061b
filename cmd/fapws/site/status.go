package site

import (
	"slices"

	"fapws/runtime/backend"
	"fapws/runtime/login"
	"fapws/runtime/loglevel"
	"fapws/runtime/sites"
)

// maxStatus is how many requests the status page answers at a time.
const maxStatus = 64

// statusPage puts the status page before everything else of each host. The rules of the host are for it, too: who has to log in, who
// may ask. Where users log in by a form, clients on this machine need not: the page has its own rules for them, and not all can.
func (b *builder) statusPage() {
	if b.parts.Status == nil || b.parts.Conf.Status == "" {
		return
	}
	pool := backend.New(maxStatus, func(line string) { b.parts.Log(loglevel.Error, line) }) // Upstreams does not count it
	m := sites.Mount{Prefix: b.parts.Conf.Status, Except: []string{login.FormPath, login.OutPath}, LocalWithoutLogin: true, OwnPolicy: true, Handler: pool, Index: pool.Add(b.parts.Status)}
	for i := range b.built.Sites {
		s, m := &b.built.Sites[i], m
		if at := slices.IndexFunc(s.Table, func(m sites.Mount) bool { return m.Login != nil }); at >= 0 { // of an entry of PATHS
			m.Login = s.Table[at].Login
		}
		s.Table = append([]sites.Mount{m}, s.Table...)
	}
}
