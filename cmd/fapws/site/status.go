package site

import (
	"fapws/runtime/backend"
	"fapws/runtime/loglevel"
	"fapws/runtime/sites"
)

// maxStatus is how many requests the status page answers at a time.
const maxStatus = 64

// statusPage puts the status page before everything else of each host. The rules of the host are for it, too: who has to log in, who
// may ask.
func (b *builder) statusPage() {
	if b.parts.Status == nil || b.parts.Conf.Status == "" {
		return
	}
	pool := backend.New(maxStatus, func(line string) { b.parts.Log(loglevel.Error, line) }) // Upstreams does not count it
	m := sites.Mount{Prefix: b.parts.Conf.Status, Handler: pool, Index: pool.Add(b.parts.Status)}
	for i := range b.built.Sites {
		s := &b.built.Sites[i]
		s.Table = append([]sites.Mount{m}, s.Table...)
	}
}
