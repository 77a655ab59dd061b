package plan

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

func (p *Plan) Certificates(conf *settings.Config) *certificates.Want {
	if !conf.HTTPS() {
		return nil
	}
	w := &certificates.Want{
		MinVersion: conf.TLSMin,
		NoHTTP2:    !conf.HTTP2,
		Strict:     conf.TLSStrictSNI,
	}
	for i, cert := range conf.CertFiles {
		pair := certificates.Pair{Cert: cert, From: p.Settings.Origin("certfile")}
		if len(conf.KeyFiles) > 0 && conf.KeyFiles[i] != cert {
			pair.Key = conf.KeyFiles[i]
		}
		w.Pairs = append(w.Pairs, pair)
	}
	for _, h := range p.Site.Hosts {
		addHost(w, h)
	}
	p.addAsking(w, conf)
	if conf.TLS == "acme" {
		p.addACME(w, conf)
	}
	if conf.TLS == "auto" {
		w.Auto = filepath.Join(p.stateDir, "tls")
		w.AutoHosts, w.Hosts = w.Hosts, nil
		w.Pairs = append(w.Pairs, certificates.Pair{Cert: filepath.Join(w.Auto, certificates.CertFile),
			Key: filepath.Join(w.Auto, certificates.KeyFile), From: p.Settings.Origin("tls")})
	}
	return w
}

func (p *Plan) addAsking(w *certificates.Want, conf *settings.Config) {
	asked := p.Site.Asks(conf)
	if !slices.ContainsFunc(asked, func(a Asked) bool { return a.CAs != "" }) {
		return
	}
	for _, a := range asked {
		one := certificates.Asking{Names: a.Names, Default: a.First, CAs: a.CAs}
		if a.CAs != "" {
			one.Auth, one.From = clientAuth[conf.CertReqs], p.Settings.Origin("ca-certs")
		}
		if a.ClientCAs != "" {
			one.From = a.At.Key("ca-certs") + ": ca-certs"
		}
		w.Asking = append(w.Asking, one)
	}
}

func (p *Plan) addACME(w *certificates.Want, conf *settings.Config) {
	w.ACME = certificates.ACME{Dir: filepath.Join(p.stateDir, acmeDir), Email: conf.ACMEEmail, Directory: conf.ACMEURL,
		Hosts: p.acmeHosts(conf), DNSHook: absolute(conf.ACMEDNSHook), DNSCleanup: absolute(conf.ACMEDNSCleanup)}
	if len(conf.ACMEHosts) == 0 {
		w.Hosts = nil
	}
	for names := range w.ACME.Certificates() {
		w.Pairs = append(w.Pairs, certificates.Pair{Cert: filepath.Join(w.ACME.Dir, names[0]), Names: names,
			Later: true, From: p.Settings.Origin("tls")})
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

const acmeDir = "acme"

func (p *Plan) acmeHosts(conf *settings.Config) (hosts []string) {
	for _, name := range conf.ACMEHosts {
		hosts = append(hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if hosts != nil {
		return hosts
	}
	for _, h := range p.Site.Hosts {
		for _, name := range h.Names {
			if h.CertFile == "" && !strings.ContainsAny(strings.TrimPrefix(name, "*."), "*[") && strings.Contains(name, ".") {
				hosts = append(hosts, name)
			}
		}
	}
	return hosts
}

func (p *Plan) checkACME() error {
	conf := &p.Conf
	if conf.TLS != "acme" {
		return nil
	}
	hosts := p.acmeHosts(conf)
	if len(hosts) == 0 {
		place := "in [[host]]"
		if len(p.Site.Hosts) > 0 {
			place = fmt.Sprintf("in the [[host]] of line %d", p.Site.Hosts[0].At.Line)
		}
		return p.Settings.Wrong("tls", fmt.Errorf("acme needs the names of the hosts: --acme-hosts example.org, or "+
			"name = \"example.org\" %s", place))
	}
	var wrong []error
	star := slices.IndexFunc(hosts, func(name string) bool { return strings.HasPrefix(name, "*") })
	if star >= 0 && conf.ACMEDNSHook == "" {
		wrong = append(wrong, p.Settings.Wrong("tls", fmt.Errorf("a CA gives a certificate for %s only to those who "+
			"can change its DNS: add acme-dns-hook, or certfile for this host", hosts[star])))
	}
	for _, hook := range [][2]string{{"acme-dns-hook", conf.ACMEDNSHook}, {"acme-dns-cleanup-hook", conf.ACMEDNSCleanup}} {
		if hook[1] == "" {
			continue
		}
		if err := certificates.CheckHook(absolute(hook[1]), p.Changeable(conf)); err != nil {
			wrong = append(wrong, p.Settings.Wrong(hook[0], err))
		}
	}
	return settings.JoinPath(wrong...)
}

// unreachable returns a warning if no CA can connect to the addresses, or "". A CA of the user's own and a program that
// changes the DNS need no public address. Whether a router or a container forwards a port is unknown, so only the
// command check warns about unusual ports.
func (p *Plan) unreachable() string {
	conf := &p.Conf
	usual, other := conf.Reachable()
	if conf.TLS != "acme" || p.Mistakes != nil || conf.ACMEDNSHook != "" || p.Settings.Source("acme-url").Level > settings.FromDefault ||
		usual || other && p.Command.Word != settings.WordCheck {
		return ""
	}
	return fmt.Sprintf("%s: the CA must be able to connect to port 80 or 443 of this machine, but the server listens on "+
		"%s: add --bind :80 --bind https://:443, forward one of these ports, or use acme-dns-hook", p.Settings.Origin("tls"),
		strings.Join(conf.Bind, ", "))
}

// OwnCA returns the file and the fingerprint of the machine's own authority; path is "" if there is none.
func (p *Plan) OwnCA(conf *settings.Config) (path, fingerprint string) {
	if conf.TLS != "auto" {
		return "", ""
	}
	dir := p.stateDir
	if filepath.IsAbs(conf.StateDir) { // a reload may have changed StateDir
		dir = conf.StateDir
	}
	path = filepath.Join(dir, "tls", certificates.CAFile)
	text, _, err := certificates.ReadFile(path)
	if err != nil {
		return path, ""
	}
	fingerprint, _ = certificates.Fingerprint(text)
	return path, fingerprint
}

// usualStateDir returns the default state directory, according to systemd.exec(5) and the XDG Base Directory
// Specification.
func usualStateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/fapws"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fapws")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "fapws")
	}
	return "fapws-state"
}

// KeepStateDir passes the state directory to child processes, because they can run as a different user with a different
// default directory.
func (p *Plan) KeepStateDir() error {
	if p.Conf.StateDir != "" || p.StateDirs(nil) == nil {
		return nil
	}
	return os.Setenv("FAPWS_STATE_DIR", p.stateDir)
}

// StateLocated returns err with the line of the file that names the state directory, if err is about this directory.
func (p *Plan) StateLocated(err error) error {
	if errors.Is(err, certificates.ErrStateDir) {
		return p.Settings.Located("state-dir", err)
	}
	return err
}

// StateDirs returns the directories for files that the server creates, or nil. An entry in PATHS can
// require the directory for sessions, too; only a worker knows PATHS.
// StateDir returns the directory of state-dir or, by default, the usual one of this process.
func (p *Plan) StateDir() string { return p.stateDir }

func (p *Plan) StateDirs(contents *pybridge.Contents) (dirs []string) {
	if p.Conf.TLS != "off" {
		dirs = append(dirs, p.stateDir, filepath.Join(p.stateDir,
			map[string]string{"auto": "tls", "acme": acmeDir}[p.Conf.TLS]))
	}
	if p.LogsIn(&p.Conf, contents) {
		dirs = append(dirs, p.stateDir, filepath.Join(p.stateDir, loginDir))
	}
	return dirs
}

// mayKeep returns an error if this process lacks the permission to keep files in dir. If dir is missing, mayKeep checks
// the nearest existing directory above it. The result cause is the directory that was checked.
func (p *Plan) mayKeep(dir string) (cause string, err error) {
	if !confine.MayBecome(p.Conf.User, p.Conf.Group) {
		return "", nil // this process cannot check the permissions of the server's user
	}
	mode := uint32(unix.W_OK)
	may := func() error { return unix.Faccessat(unix.AT_FDCWD, dir, mode|unix.X_OK, unix.AT_EACCESS) }
	for err = may(); errors.Is(err, fs.ErrNotExist) && dir != "/"; err = may() {
		dir = filepath.Dir(dir)
		if p.KeysRead { // root creates the directory
			mode = 0
		}
	}
	return dir, err
}

func addHost(w *certificates.Want, h *Host) {
	if h.CertFile == "" {
		w.Hosts = append(w.Hosts, h.Names...)
		return
	}
	pair := certificates.Pair{Cert: h.CertFile, Key: h.KeyFile, Names: h.Names,
		From: h.At.Key("certfile") + ": certfile"}
	at := len(w.Pairs)
	if h.Default && slices.ContainsFunc(w.Pairs, func(p certificates.Pair) bool { return p.Names != nil }) {
		at = 0
	}
	w.Pairs = slices.Insert(w.Pairs, at, pair)
}

var clientAuth = map[string]tls.ClientAuthType{"none": tls.RequestClientCert, "optional": tls.VerifyClientCertIfGiven,
	"required": tls.RequireAndVerifyClientCert}

// CheckCertificates reads the certificates that a server would use. The error contains a line for each mistake.
func (p *Plan) CheckCertificates(conf *settings.Config, log certificates.Log) error {
	w := p.Certificates(conf)
	if w == nil || p.KeysRead {
		return nil
	}
	if dir := cmp.Or(w.Auto, w.ACME.Dir); dir != "" {
		// A directory on a read-only file system may already contain all files that a start needs.
		if cause, err := p.mayKeep(dir); err != nil && !(cause == dir && errors.Is(err, unix.EROFS)) {
			return process.ExitNotStarted("%v", p.StateLocated(certificates.CannotUse(dir, err)))
		}
	}
	w.ACME.Dir = ""
	w.Pairs = slices.DeleteFunc(w.Pairs, func(p certificates.Pair) bool { return p.Later })
	if w.Auto != "" {
		w.Auto, w.Pairs = "", w.Pairs[:len(w.Pairs)-1]
	}
	if len(w.Pairs) == 0 {
		return nil
	}
	r := certificates.Reader{Log: log}
	b, err := r.KeySet(w)
	if err == nil {
		err = new(certificates.Server).Use(w, b)
	}
	if err != nil {
		return process.ExitNotStarted("%v", p.StateLocated(err))
	}
	return nil
}

// The key client-cert can have these values in addition to "optional" and "unverified".
const (
	certRequired = "required"
	certNone     = "none"
)

type Asked struct {
	*Host
	CAs   string // "" if the host does not request client certificates
	First bool   // the host also serves requests for unknown host names
}

// Asks returns, for each host, which client certificates the host requests. A rule in a route applies to the whole
// host, because the handshake takes place before the server knows the route.
func (c *SiteConfig) Asks(conf *settings.Config) (asked []Asked) {
	wants := func(rule string) bool { return rule != "" && rule != certNone }
	for _, h := range c.all(conf) {
		a := Asked{Host: h}
		if certReqs(conf) || wants(cmp.Or(h.TopRules.ClientCert, c.ClientCert)) ||
			slices.ContainsFunc(h.Routes, func(r *Route) bool { return wants(r.TopRules.ClientCert) }) {
			a.CAs = cmp.Or(h.ClientCAs, conf.CACerts)
		}
		asked = append(asked, a)
	}
	first := slices.IndexFunc(asked, func(a Asked) bool { return a.Default || len(a.Names) == 0 })
	if len(asked) > 0 {
		asked[max(first, 0)].First = true
	}
	return asked
}

func (c *SiteConfig) asksClients() bool {
	return c.anyRules(func(r *TopRules) bool { return r.ClientCert != "" }) ||
		slices.ContainsFunc(c.Hosts, func(h *Host) bool { return h.ClientCAs != "" })
}

// checkClients finds rules about client certificates that cannot work, and authorities that no rule uses.
func (p *Plan) checkClients() error {
	c, conf := p.Site, &p.Conf
	var wrong []error
	check := func(table *settings.TOMLTable, rule string, cas string) {
		switch {
		case rule == "" || rule == certNone || !table.Set("client-cert"):
		case !conf.HTTPS():
			wrong = append(wrong, table.Errorf("client-cert",
				"clients show certificates only over HTTPS; add certfile, or tls = \"auto\" at the top of the file"))
		case cas == "":
			wrong = append(wrong, table.Errorf("client-cert", "needs ca-certs, the CAs of the client certificates"))
		case rule == "unverified" && certReqs(conf):
			wrong = append(wrong, table.Errorf("client-cert",
				"with cert-reqs, clients with a bad certificate are not connected; remove cert-reqs"))
		}
	}
	check(c.At, c.ClientCert, conf.CACerts)
	for _, a := range c.Asks(conf) {
		cas := cmp.Or(a.ClientCAs, conf.CACerts)
		if a.At != c.At {
			check(a.At, a.TopRules.ClientCert, cas)
		}
		for _, r := range a.Routes {
			check(r.At, r.TopRules.ClientCert, cas)
		}
		if a.ClientCAs != "" && a.CAs == "" {
			wrong = append(wrong, a.At.Errorf("ca-certs", "no rule uses these CAs; add client-cert = \"required\""))
		}
	}
	return settings.JoinPath(wrong...)
}

func certReqs(conf *settings.Config) bool { return conf.CertReqs != "" && conf.CertReqs != "none" }
