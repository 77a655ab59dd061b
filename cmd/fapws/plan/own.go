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
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/source/static"
)

// own completes h, the host that the command line and the top of the configuration file describe. It adds a route for
// each directory from --static.
func (b *builder) own(c *SiteConfig, h *Host) {
	ssi := b.conf.SSI
	if ssi && c.Root == "" && len(b.conf.Static) == 0 && len(c.Hosts) == 0 {
		b.wrong(c.At.Errorf("ssi", "no directory with pages; name one as APP, or use --static PREFIX=DIR"))
	}
	if b.plan.Settings.Source("autoindex").Level == settings.FromDefault && c.Root != "" {
		h.Listing = true // a user who names only a directory wants a listing
	}
	for _, one := range b.conf.Static {
		h.Routes = append(h.Routes, &Route{At: c.At, Files: c.Files, Rules: h.Rules, Prefix: one.Prefix,
			Folder: one.Root, SSI: SSI{Enabled: ssi}})
	}
}

// unlisted are the exemptions of mounts that serve everybody and are not logged.
const unlisted = exchange.FromRestrictions | exchange.FromAccessLog

// health returns the mounts for health checks under prefix, or nil if prefix is "". The mounts for health checks
// precede all other mounts of each host. Health checks require neither login nor HTTPS, because a load balancer uses
// plain HTTP, the machine's address, and no password. Health checks are not logged, because a load balancer sends one
// every few seconds.
func health(prefix string, pending bool, stops *atomic.Bool, stalled func() bool) []exchange.Mount {
	if prefix == "" {
		return nil
	}
	answer := func(status int, body string) *static.Fixed {
		f, _ := static.NewFixed(static.FixedOptions{Status: status, Body: body,
			Fields: []http1.HeaderField{{Name: "Cache-Control", Value: "no-store"}}})
		return f
	}
	alive := answer(200, "alive\n")
	ready := &readiness{serves: answer(200, "ready\n"), stopping: answer(503, "stopping\n"),
		busy: answer(503, "busy\n"), stops: stops, stalled: stalled}
	if pending {
		ready.serves = answer(503, "starting\n")
	}
	return []exchange.Mount{{Prefix: prefix + "/ready", Source: ready, Exempt: unlisted},
		{Prefix: prefix, Source: alive, Exempt: unlisted}}
}

// misdirected returns the site for host names that no host has. It answers 421 (RFC 9110 §15.5.20), but a load balancer,
// Prometheus and an operator may ask this machine by its address for its health and status.
func (b *builder) misdirected() exchange.Site {
	answer, _ := static.NewFixed(static.FixedOptions{Status: 421})
	checks := health(b.conf.Health, b.parts.Pending && !b.parts.Asleep, b.parts.Stops, b.parts.Stalled)
	return exchange.Site{Table: slices.Concat(checks, b.statusPage(nil),
		[]exchange.Mount{{Prefix: "/", Source: answer, Exempt: exchange.FromRestrictions}})}
}

// Waiting returns a site for a process that is asleep. On this site, every request except health checks waits.
func Waiting(conf *settings.Config, stops *atomic.Bool) *Built {
	mounts := health(conf.Health, false, stops, nil)
	return &Built{Sites: []exchange.Site{{Table: append(mounts, exchange.Mount{Prefix: "/", Pending: true})}}}
}

// readiness tells health checks whether the server should receive requests.
type readiness struct {
	exchange.Memory
	serves, stopping, busy *static.Fixed
	// The value in stops is true while the server is stopping. stalled reports whether the application is stuck. A nil
	// field means that the state never occurs.
	stops   *atomic.Bool
	stalled func() bool
}

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

const maxOwn = 64 // requests that a Responder of the server itself answers at the same time

// ownHandler returns a Handler for r with a separate pool, which Upstreams does not count.
func (b *builder) ownHandler(r backend.Responder) exchange.Handler {
	pool := backend.New(maxOwn, func(line string) { b.parts.Log(logfile.Error, line) })
	pool.Sends = b.parts.Programs.Sends
	return pool.Handler(r)
}

// refreshes returns the mount that serves the script of Refresh and the event stream, or nil if pages do not refresh
// themselves. Clients need no login for this mount.
func (b *builder) refreshes() []exchange.Mount {
	if b.parts.Refresh == nil || b.parts.Pending && !b.parts.Asleep {
		return nil
	}
	if b.refresh == nil {
		b.refresh = b.ownHandler(b.parts.Refresh)
	}
	return []exchange.Mount{{Prefix: refreshPath, Exempt: unlisted, Rules: &exchange.Rules{Timeout: -1},
		Handler: b.refresh}}
}

// statusPage returns the mount of the status page, which precedes all mounts of the host except health checks. The
// rules of the host apply to the status page. If the host has a login form, clients on this machine need not log in,
// because the page has its own rules for local clients.
func (b *builder) statusPage(rest []exchange.Mount) []exchange.Mount {
	if b.parts.Status == nil || b.conf.Status == "" {
		return nil
	}
	if b.page == nil {
		b.page = b.ownHandler(b.parts.Status)
	}
	// no time limit, because a profile or a reload can take longer than --timeout
	rules := &exchange.Rules{Timeout: -1}
	m := exchange.Mount{Prefix: b.conf.Status, Rules: rules, Except: []string{auth.FormPath, auth.OutPath},
		Exempt: exchange.FromLocalLogin | exchange.FromPolicy | exchange.FromMetrics, Handler: b.page}
	if at := slices.IndexFunc(rest, func(m exchange.Mount) bool { return m.Access != nil }); at >= 0 {
		m.Access = rest[at].Access
	}
	return []exchange.Mount{m}
}

// challenges is the path prefix of the tokens that a certificate authority requests over plain HTTP (RFC 8555 §8.3).
const challenges = "/.well-known/acme-challenge/"

// redirectToHTTPS returns the mount that redirects plain HTTP to HTTPS, or nil if the settings disable the redirect.
// The mount precedes all other mounts and the login. The redirect has status 308, which keeps the method and the body,
// unlike status 301 (RFC 9110 §15.4.9).
func (b *builder) redirectToHTTPS(h *Host) []exchange.Mount {
	port := b.conf.HTTPSRedirect
	if on := h.HTTPSRedirect; on != nil {
		if !*on {
			return nil
		}
		if port == "no" {
			port = b.conf.HTTPSPort()
			if ports := b.conf.HTTPSPorts(); len(ports) > 1 {
				b.wrong(h.At.Errorf("https-redirect", "there are several ports for HTTPS (%s); add https-redirect = PORT at "+
					"the top of the file", strings.Join(ports, ", ")))
			}
		}
	}
	switch port {
	case "", "no":
		if h.HTTPSRedirect != nil {
			b.wrong(h.At.Errorf("https-redirect",
				"there is no address for HTTPS; add bind = [\":80\", \"https://:443\"] at the top of the file, or "+
					"https-redirect = PORT"))
		}
		return nil
	case settings.HTTPSPort:
		port = ""
	default:
		port = ":" + port
	}
	to, _ := static.NewRedirect("https://${host}"+port+"${path}", 308)
	return []exchange.Mount{{Prefix: "/", Except: []string{challenges}, Plain: true, Exempt: exchange.FromRestrictions, Source: to}}
}

// authorityPath is the path at which clients can download the certificate of the machine's own authority, even over
// plain HTTP.
const authorityPath = "/.well-known/fapws-ca.crt"

func (b *builder) authority() []exchange.Mount {
	block, _ := pem.Decode(b.parts.Authority)
	if block == nil {
		return nil
	}
	answer, _ := static.NewFixed(static.FixedOptions{Body: string(block.Bytes), Type: "application/x-x509-ca-cert"})
	return []exchange.Mount{{Prefix: authorityPath, Exempt: exchange.FromRestrictions, Source: answer}}
}

func (b *builder) tokens() []exchange.Mount {
	find := b.parts.Token
	if find == nil {
		return nil
	}
	handler := b.add(backend.Func(func(w *backend.ResponseWriter, r *backend.Request) {
		text, err := find(r.Path[strings.LastIndexByte(r.Path, '/')+1:])
		if err != nil {
			w.Refuse(404, "")
			return
		}
		w.Start(exchange.Head{Status: 200, Fields: []byte("Content-Type: application/octet-stream\r\n"),
			Length: int64(len(text))})
		_, _ = w.Write(text)
	}))
	return []exchange.Mount{{Prefix: challenges, Exempt: exchange.FromRestrictions, Handler: handler}}
}

// HSTS is the value of the key hsts: a time or a table (RFC 6797 §6.1).
type HSTS struct {
	MaxAge     time.Duration `key:"max-age" is:"age" needs:"such as \"1y\"" short:"a time such as \"1y\", or seconds"`
	Subdomains bool          `key:"subdomains"`
	Preload    bool          `key:"preload"`
}

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
