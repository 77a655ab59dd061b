package plan

import (
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/static"
)

// own completes the host that the command line and the top of the file describe, with the directories of --static before its own.
func (b *builder) own(c *SiteConfig, h *Host) {
	ssi := b.conf.SSI
	if ssi && c.Root == "" && len(b.conf.Static) == 0 && len(c.Hosts) == 0 {
		b.wrong(c.At.Errorf("ssi", "no directory with pages; name one as APP, or use --static PREFIX=DIR"))
	}
	if b.plan.Settings.Source("autoindex").Level == settings.FromDefault && c.Root != "" {
		h.Listing = true // a folder and nothing else is named in order to see its list
	}
	for _, one := range b.conf.Static {
		h.Routes = append(h.Routes, &Route{At: c.At, Files: c.Files, Rules: h.Rules, Prefix: one.Prefix, Folder: one.Root, SSI: SSI{Given: ssi}})
	}
}

// What describes in words the application or root at the top of the file and on the command line.
func (c *SiteConfig) What(conf *settings.Config) string {
	var what []string
	if c.Root != "" {
		what = append(what, "files of "+c.Root)
	}
	if c.App.Name != "" {
		what = append(what, c.App.Name)
	}
	if len(what) == 0 {
		for _, one := range conf.Static {
			what = append(what, one.String())
		}
	}
	return strings.Join(what, " and ")
}

// health returns the mounts for health checks below prefix, before everything else of each host: a load balancer has no password, asks over
// HTTP and by the address of the machine, and gets no redirect. "": none.
func health(prefix string, pending bool, stops *atomic.Bool, stalled func() bool) []exchange.Mount {
	if prefix == "" {
		return nil
	}
	answer := func(status int, body string) *static.Fixed {
		f, _ := static.NewFixed(static.FixedOptions{Status: status, Body: body, Fields: []exchange.Field{{Name: "Cache-Control", Value: "no-store"}}}) // nothing in it can be wrong
		return f
	}
	alive := answer(200, "alive\n")
	ready := &readiness{serves: answer(200, "ready\n"), stopping: answer(503, "stopping\n"), busy: answer(503, "busy\n"), stops: stops, stalled: stalled}
	if pending {
		ready.serves = answer(503, "starting\n")
	}
	return []exchange.Mount{{Prefix: prefix + "/ready", Source: ready, Open: true}, {Prefix: prefix, Source: alive, Open: true}}
}

// Waiting makes a site that has every request wait for others, but answers health checks: those of a process that is asleep.
func Waiting(conf *settings.Config, stops *atomic.Bool) *Built {
	mounts := health(conf.Health, false, stops, nil)
	return &Built{Sites: []exchange.Site{{Table: append(mounts, exchange.Mount{Prefix: "/", Pending: true})}}}
}

// readiness answers whether the server should get requests. It is an exchange.Source.
type readiness struct {
	exchange.Memory
	serves, stopping, busy *static.Fixed
	stops                  *atomic.Bool // see Parts; nil: never
	stalled                func() bool  // see Parts; nil: never
}

// Start implements exchange.Source.
func (r *readiness) Start(x *exchange.Exchange) {
	switch {
	case r.stops != nil && r.stops.Load():
		r.stopping.Start(x)
	case r.stalled != nil && r.stalled():
		r.busy.Start(x)
	default:
		r.serves.Start(x)
	}
}

// maxStatus is how many requests the status page answers at a time.
const maxStatus = 64

// statusPage returns the mount of the status page, before everything else of the host but health checks. The rules of the host are for it,
// too: who has to log in, who may ask. Where users log in by a form, clients on this machine need not: the page has its own rules for them,
// and not all can. rest has the mounts of the parts of the host.
func (b *builder) statusPage(rest []exchange.Mount) []exchange.Mount {
	if b.parts.Status == nil || b.conf.Status == "" {
		return nil
	}
	if b.page == nil {
		pool := backend.New(maxStatus, func(line string) { b.parts.Log(logfile.Error, line) }) // Upstreams does not count it
		b.page = pool.Handler(b.parts.Status)
	}
	// A profile and a reload take longer than most values of --timeout.
	rules := &exchange.Rules{Timeout: -1}
	m := exchange.Mount{Prefix: b.conf.Status, Rules: rules, Except: []string{auth.FormPath, auth.OutPath}, LocalWithoutLogin: true, OwnPolicy: true, Handler: b.page}
	if at := slices.IndexFunc(rest, func(m exchange.Mount) bool { return m.Access != nil }); at >= 0 { // of an entry of PATHS
		m.Access = rest[at].Access
	}
	return []exchange.Mount{m}
}

// challenges is the path below which an authority looks for its tokens, over plain HTTP (RFC 8555 §8.3).
const challenges = "/.well-known/acme-challenge/"

// redirectToHTTPS returns the mount that sends clients of plain HTTP to HTTPS, before any other and before a password
// is asked for; nothing if the settings do not want it. 308 keeps the method and the body, which 301 does not (RFC 9110
// §15.4.9); browsers remember both.
func (b *builder) redirectToHTTPS(h *Host) []exchange.Mount {
	port := b.conf.HTTPSRedirect
	if on := h.HTTPSRedirect; on != nil {
		if !*on {
			return nil
		}
		if port == "no" {
			port = b.conf.HTTPSPort()
		}
	}
	switch port {
	case "", "no":
		if h.HTTPSRedirect != nil {
			b.wrong(h.At.Errorf("https-redirect", "there is no address for HTTPS; add bind = [\":80\", \"https://:443\"] at the top of the file, or https-redirect = PORT"))
		}
		return nil
	case settings.HTTPSPort:
		port = ""
	default:
		port = ":" + port
	}
	to, _ := static.NewRedirect("https://${host}"+port+"${path}", 308) // nothing in it can be wrong
	return []exchange.Mount{{Prefix: "/", Except: []string{challenges}, Plain: true, Open: true, Source: to}}
}

// authorityPath is where clients get the certificate of the machine's own authority, also over plain HTTP.
const authorityPath = "/.well-known/fapws-ca.crt"

// authority returns the mount with that certificate, in the form that browsers and telephones offer to trust.
func (b *builder) authority() []exchange.Mount {
	block, _ := pem.Decode(b.parts.Authority)
	if block == nil {
		return nil
	}
	answer, _ := static.NewFixed(static.FixedOptions{Body: string(block.Bytes), Type: "application/x-x509-ca-cert"}) // nothing in it can be wrong
	return []exchange.Mount{{Prefix: authorityPath, Open: true, Source: answer}}
}

// tokens returns the mount where a public authority finds its tokens, before everything else of the host.
func (b *builder) tokens() []exchange.Mount {
	find := b.parts.Token
	if find == nil {
		return nil
	}
	handler := b.add(backend.Func(func(w *backend.Response, r *backend.Request) {
		text, err := find(r.Path[strings.LastIndexByte(r.Path, '/')+1:])
		if err != nil {
			w.Refuse(404, "")
			return
		}
		w.Start(exchange.Head{Status: 200, Fields: []byte("Content-Type: application/octet-stream\r\n"), Length: int64(len(text))})
		_, _ = w.Write(text) // the client may have left
	}))
	return []exchange.Mount{{Prefix: challenges, Open: true, Handler: handler}}
}

// HSTS is the key hsts: a time, or a table (RFC 6797 §6.1).
type HSTS struct {
	MaxAge     time.Duration `key:"max-age" is:"age" needs:"a time such as \"1y\"" short:"a time such as \"1y\", \"180d\" or \"1h\", or a number of seconds"`
	Subdomains bool          `key:"subdomains"`
	Preload    bool          `key:"preload"`
}

// value is that of Strict-Transport-Security.
func (h *HSTS) value() string {
	value := fmt.Sprintf("max-age=%d", h.MaxAge/time.Second)
	if h.Subdomains {
		value += "; includeSubDomains"
	}
	if h.Preload {
		value += "; preload"
	}
	return value
}
