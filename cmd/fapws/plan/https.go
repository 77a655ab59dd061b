package plan

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// challenges is the path below which an authority looks for its tokens, over plain HTTP (RFC 8555 §8.3).
const challenges = "/.well-known/acme-challenge/"

// redirectToHTTPS returns the mount that sends clients of plain HTTP to HTTPS, before any other and before a password
// is asked for; nothing if the settings do not want it. 308 keeps the method and the body, which 301 does not (RFC 9110
// §15.4.9); browsers remember both.
func (b *builder) redirectToHTTPS(h *Host) []sites.Mount {
	port := b.parts.Conf.HTTPSRedirect
	if on := h.HTTPSRedirect; on != nil {
		if !*on {
			return nil
		}
		if port == "no" {
			port = b.parts.Conf.HTTPSPort()
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
	to, err := static.NewRedirect("https://${host}"+port+"${path}", 308)
	if err != nil {
		b.wrong(h.At.Errorf("https-redirect", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: "/", Except: []string{challenges}, Plain: true, Open: true, Source: to}}
}

// authorityPath is where clients get the certificate of the machine's own authority, also over plain HTTP.
const authorityPath = "/.well-known/fapws-ca.crt"

// authority returns the mount with that certificate, in the form that browsers and telephones offer to trust.
func (b *builder) authority() []sites.Mount {
	block, _ := pem.Decode(b.parts.Authority)
	if block == nil {
		return nil
	}
	answer, err := static.NewFixed(static.FixedOptions{Body: string(block.Bytes), Type: "application/x-x509-ca-cert"})
	if err != nil {
		b.wrong(err)
		return nil
	}
	return []sites.Mount{{Prefix: authorityPath, Open: true, Source: answer}}
}

// tokens returns the mount where a public authority finds its tokens, before everything else of the host.
func (b *builder) tokens() []sites.Mount {
	find := b.parts.Token
	if find == nil {
		return nil
	}
	m := sites.Mount{Prefix: challenges, Open: true}
	m.Handler, m.Index = b.add(backend.Func(func(w *backend.Response, r *backend.Request) {
		text, err := find(r.Path[strings.LastIndexByte(r.Path, '/')+1:])
		if err != nil {
			w.Refuse(404, "")
			return
		}
		w.Start(exchange.Head{Status: 200, Fields: []byte("Content-Type: application/octet-stream\r\n"), Length: int64(len(text))})
		_, _ = w.Write(text) // the client may have left
	}))
	return []sites.Mount{m}
}

// HSTS is the value of Strict-Transport-Security (RFC 6797 §6.1), or "".
type HSTS string

// FromFile implements settings.TableReader.
func (h *HSTS) FromFile(v settings.TOMLValue) error {
	var o struct {
		At         settings.Position
		MaxAge     age  `key:"max-age"`
		Subdomains bool `key:"subdomains"`
		Preload    bool `key:"preload"`
	}
	if t, ok := v.Any.(*settings.TOMLTable); ok {
		var wrong error
		settings.DecodeTOML(t, &o, func(err error) { wrong = errors.Join(wrong, err) })
		if wrong != nil {
			return wrong
		}
		if !o.At.Set("max-age") {
			return errors.New(`a time such as "1y", or a table with max-age`)
		}
	} else if err := o.MaxAge.FromFile(v); err != nil {
		return err
	}
	*h = HSTS(fmt.Sprintf("max-age=%d", o.MaxAge/age(time.Second)))
	if o.Subdomains {
		*h += "; includeSubDomains"
	}
	if o.Preload {
		*h += "; preload"
	}
	return nil
}

// longestAge is long enough for a promise.
const longestAge = 100 * 365 * 24 * time.Hour

// age is a time in whole seconds, or with a unit: "1y", "180d".
type age time.Duration

// FromFile implements settings.TableReader.
func (a *age) FromFile(v settings.TOMLValue) error {
	text, _ := v.Any.(string)
	if n, ok := v.Any.(int64); ok {
		text = strconv.FormatInt(n, 10)
	}
	if d, ok := settings.ParseDuration(text); ok && d <= longestAge && d%time.Second == 0 {
		*a = age(d)
		return nil
	}
	return errors.New(`a time such as "1y", "180d" or "1h", or a number of seconds`)
}
