package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/proxy"
)

// Proxying are the keys about how other servers are asked: of a route that is a proxy,
// or of a host for all of those that do not have the key themselves.
type Proxying struct {
	TunnelTimeout *Duration        `key:"proxy-tunnel-timeout"`
	PreserveHost  *bool            `key:"proxy-preserve-host"`
	TLSCA         settings.KeyPath `key:"proxy-tls-ca"`
	TLSName       ServerName       `key:"proxy-tls-name"`
	TLSVerify     *bool            `key:"proxy-tls-verify"`
	SendCert      *bool            `key:"proxy-client-cert"`
}

// ServerName is a name that a certificate may be for, or an address.
type ServerName string

// FromFile implements settings.TableReader.
func (n *ServerName) FromFile(v settings.TOMLValue) error {
	s, ok := v.Any.(string)
	if !ok || s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`/[]"@`, c) }) {
		return errors.New(`the name that a certificate is for, such as "api.example.org"`)
	}
	*n = ServerName(s)
	return nil
}

// proxy mounts another server.
func (b *builder) proxy(h *Host, r *Route) []sites.Mount {
	settings.InheritTable(&r.Proxying, &h.Proxying)
	o := proxy.Options{
		Target:      r.Proxy,
		ReplaceHost: r.PreserveHost != nil && !*r.PreserveHost,
		CA:          string(r.TLSCA),
		TLSName:     string(r.TLSName),
		NoVerify:    r.TLSVerify != nil && !*r.TLSVerify,
		ClientCert:  r.SendCert != nil && *r.SendCert,
		Timeout:     r.patience(),
		Log:         b.clientLog(logfile.Warning),
	}
	if t := r.TunnelTimeout; t != nil {
		if o.TunnelTimeout = time.Duration(*t); *t == 0 {
			o.TunnelTimeout = -1
		}
	}
	for _, key := range settings.GivenKeys(r.Proxying) {
		if strings.HasPrefix(key, "proxy-tls-") && r.At.Set(key) && !strings.HasPrefix(r.Proxy, "https:") {
			b.wrong(r.At.Errorf(key, "%s does not use TLS; this key requires an https:// URL", r.Proxy))
		}
	}
	if o.NoVerify && o.CA != "" && slices.ContainsFunc([]settings.Position{r.At, h.At}, func(at settings.Position) bool {
		return at.Set("proxy-tls-ca") && at.Set("proxy-tls-verify")
	}) {
		b.misused(r.At, "proxy-tls-ca", errors.New("has no effect with proxy-tls-verify = false"))
	}
	p, err := proxy.New(o)
	var ca *proxy.CAError
	switch {
	case errors.As(err, &ca):
		b.misused(r.At, "proxy-tls-ca", err)
		return nil
	case err != nil:
		b.wrong(r.At.Errorf("proxy", "%v", err))
		return nil
	}
	if folder := b.parts.Conf.Chroot; folder != "" && p.Lookup() != "" && !looksUp(folder) {
		b.parts.Log(logfile.Warning, fmt.Sprintf("proxy %s: the address of %s cannot be looked up in the chroot, as %s has neither etc/hosts nor etc/resolv.conf (%s)",
			r.Proxy, p.Lookup(), folder, r.At.Key("proxy")))
	}
	mounts := b.responder(r, p)
	mounts[0].Tunnels, mounts[0].Resolved = true, true
	return mounts
}

// looksUp reports whether names can be looked up in a chroot.
func looksUp(folder string) bool {
	for _, name := range []string{"etc/hosts", "etc/resolv.conf"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return true
		}
	}
	return false
}
