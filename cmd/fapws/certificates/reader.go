package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

type Log func(level logfile.Level, line string)

// A Reader reads the files of a Want and keeps the last valid contents of each file. The field Log is required. A
// Reader must be used on one goroutine at a time.
type Reader struct {
	// Read reads a file; nil means ReadFile.
	Read func(name string) ([]byte, fs.FileMode, error)

	// Log receives warnings, and errors of files that were valid before.
	Log Log

	// Now returns the time; nil means time.Now.
	Now func() time.Time

	// Kept contains all contents that are known to be valid. Kept may be copied from another Reader before the first
	// read.
	Kept KeySet

	told    map[string]string
	rotated time.Time
}

// KeySet returns the contents of the files of w. The error has one line for each file that was never valid. For a file
// that has become invalid, KeySet uses the last valid contents, and logs the reason once.
func (r *Reader) KeySet(w *Want) (*KeySet, error) {
	r.init()
	if now := r.Now(); now.Sub(r.rotated) >= ticketPeriod {
		r.Kept.Tickets, r.rotated = r.Kept.Tickets.next(), now
	}
	b := &KeySet{Files: map[string]PairPEM{}, Tickets: r.Kept.Tickets}
	var wrong []error
	if isWrongClock(r.Now()) {
		r.warn("clock", "the clock of this machine says %s; certificates are not checked for their dates until it is "+
			"right", r.Now().UTC().Format(day))
	}
	if w.Auto != "" {
		authority, err := r.maintain(w)
		if err != nil {
			wrong = append(wrong, err)
		}
		b.Files[w.Auto] = authority
	}
	if w.ACME.Dir != "" { // watched for new certificates
		if err := os.MkdirAll(w.ACME.Dir, 0o700); err != nil {
			wrong = append(wrong, CannotUse(w.ACME.Dir, err))
		}
	}
	for i := range w.Pairs {
		p := &w.Pairs[i]
		if w.Auto != "" && len(wrong) > 0 {
			break // the order has not created the file yet
		}
		c, err := r.pair(p)
		if p.Later && err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.tell(p.id(), logfile.Warning, err.Error()+"; another one is ordered")
			}
			continue
		}
		if err != nil {
			wrong = append(wrong, from(p.From, err))
			continue
		}
		b.Files[p.id()] = c
	}
	if len(wrong) == 0 {
		r.doubtHosts(w, b)
	}
	for i := range w.Asking {
		a := &w.Asking[i]
		if _, known := b.Files[a.CAs]; known || a.CAs == "" {
			continue
		}
		data, err := r.authorities(a.CAs)
		if err != nil {
			wrong = append(wrong, from(a.From, err))
		}
		b.Files[a.CAs] = data
	}
	return b, errors.Join(wrong...)
}

// maintain updates the files of the machine's own authority and returns its certificate.
func (r *Reader) maintain(w *Want) (authority PairPEM, err error) {
	names, unknown := machine(w.AutoHosts)
	if unknown != nil {
		r.warn("addresses", "the certificate of --tls auto does not get the addresses of this machine, only its "+
			"names: cannot list the network interfaces: %v; allow AF_NETLINK (RestrictAddressFamilies of systemd)",
			system.Cause(unknown))
	}
	done, doubts, err := maintain(w.Auto, names, w.AutoHosts, r.Now(), madeAfter)
	for _, line := range done {
		r.Log(logfile.Info, line)
	}
	for _, line := range doubts {
		r.tell(line, logfile.Warning, line)
	}
	if err == nil {
		authority.Certificate, _, err = ReadFile(filepath.Join(w.Auto, CAFile))
	}
	return r.keep(w.Auto, authority, err, "the certificate that was made before stays in use")
}

// keep stores and returns now, the current contents of a subject, such as a pair of files. If err is not nil, these
// contents are invalid, and keep returns the last valid contents.
func (r *Reader) keep(subject string, now PairPEM, err error, stays string) (PairPEM, error) {
	if err == nil {
		r.Kept.Files[subject] = now
		delete(r.told, subject)
		return now, nil
	}
	old, known := r.Kept.Files[subject]
	if !known {
		return old, err
	}
	r.tell(subject, logfile.Error, err.Error()+"; "+stays)
	return old, nil
}

func from(place string, err error) error {
	if place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

func (r *Reader) init() {
	if r.Kept.Files == nil {
		r.Kept.Files = map[string]PairPEM{}
	}
	if r.told == nil {
		r.told = map[string]string{}
	}
	if r.Read == nil {
		r.Read = ReadFile
	}
	if r.Now == nil {
		r.Now = time.Now
	}
}

// tell logs a line about a subject, unless the last line about this subject was the same.
func (r *Reader) tell(subject string, level logfile.Level, line string) {
	if r.told[subject] != line {
		r.told[subject] = line
		r.Log(level, line)
	}
}

func (r *Reader) warn(subject, format string, args ...any) {
	r.tell(subject, logfile.Warning, fmt.Sprintf(format, args...))
}

func (r *Reader) pair(p *Pair) (PairPEM, error) {
	old, known := r.Kept.Files[p.id()]
	now, err := r.load(p)
	switch {
	case known && err == nil && !reflect.DeepEqual(old, now):
		r.Log(logfile.Info, fmt.Sprintf("certificate %s was replaced, and is in use now", p.Cert))
	case known && err != nil:
		if _, refused := p.usable(old, r.Now()); refused != nil && !errors.As(refused, new(*timeError)) {
			return old, err // the old certificate was valid only for other hosts
		}
	}
	return r.keep(p.id(), now, err, "the certificate that was read before stays in use")
}

func (r *Reader) load(p *Pair) (c PairPEM, err error) {
	var mode fs.FileMode
	if c.Certificate, mode, err = r.Read(p.Cert); err != nil {
		return c, fmt.Errorf("cannot read the certificate %s: %w%s", p.Cert, err, readHint(err))
	}
	c.PrivateKey = c.Certificate
	if p.Key != "" {
		if c.PrivateKey, mode, err = r.Read(p.Key); err != nil {
			return c, fmt.Errorf("cannot read the key %s: %w%s", p.Key, err, readHint(err))
		}
	}
	cert, err := p.usable(c, r.Now())
	if err == nil {
		r.doubt(p, cert, mode)
	}
	return c, err
}

func readHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("; let the user that fapws runs as (%s) read it", system.UserName(os.Geteuid()))
	case errors.Is(err, fs.ErrNotExist):
		return "; correct the name"
	}
	return ""
}

func (p *Pair) usable(c PairPEM, now time.Time) (*tls.Certificate, error) {
	cert, err := p.parse(c.Certificate, c.PrivateKey)
	if err == nil {
		err = p.judge(cert.Leaf, now)
	}
	return cert, err
}

// soon is the remaining lifetime of a certificate below which a warning is logged.
const soon = 7 * 24 * time.Hour

// doubt logs settings that are valid but probably unintended.
func (r *Reader) doubt(p *Pair, cert *tls.Certificate, mode fs.FileMode) {
	key := p.keyFile()
	if mode&0o006 != 0 {
		r.warn("mode "+key, "the private key %s can be read by every user of this machine (mode %04o); chmod 600 %s",
			key, mode, key)
	}
	if hasOldName(cert.Leaf) {
		r.warn("name "+p.Cert, "%s: the certificate has its name (%s) only as common name, not as subjectAltName, so "+
			"browsers and most other clients refuse it; get another one", p.Cert, cert.Leaf.Subject.CommonName)
	}
	if mustStaple(cert.Leaf) {
		r.warn("staple "+p.Cert, "%s: the certificate requires OCSP stapling (must-staple), which fapws does not offer, "+
			"so some browsers refuse it; get a certificate without must-staple", p.Cert)
	}
	if full := filepath.Join(filepath.Dir(p.Cert), "fullchain.pem"); filepath.Base(p.Cert) == "cert.pem" &&
		len(cert.Certificate) == 1 {
		if _, err := os.Stat(full); err == nil {
			r.warn("chain "+p.Cert, "%s has no certificate of its CA, so many clients refuse it; use %s", p.Cert, full)
		}
	}
	if left := cert.Leaf.NotAfter.Sub(r.Now()); left < soon && !isWrongClock(r.Now()) &&
		cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore) > 4*soon {
		r.warn("soon "+p.Cert, "%s: the certificate expires on %s; renew it", p.Cert, cert.Leaf.NotAfter.UTC().Format(day))
	}
}

// doubtHosts logs hosts that no certificate covers, because clients would reject the certificate.
func (r *Reader) doubtHosts(w *Want, b *KeySet) {
	var leaves []*x509.Certificate
	for i := range w.Pairs {
		if chain, err := parseChain(b.Files[w.Pairs[i].id()].Certificate); err == nil {
			leaves = append(leaves, chain[0])
		}
	}
	for _, name := range w.Hosts {
		if !slices.ContainsFunc(leaves, func(leaf *x509.Certificate) bool { return covers(leaf, name) }) {
			r.warn("host "+name, "no certificate covers the host %s, so https://%[1]s/ does not work; give it a certfile",
				name)
		}
	}
}

func (r *Reader) authorities(name string) (PairPEM, error) {
	data, _, err := r.Read(name)
	if err != nil {
		err = fmt.Errorf("cannot read the CAs %s: %w%s", name, err, readHint(err))
	} else if of, wrong := parseClients(data); wrong != nil {
		err = fmt.Errorf("%s: %w", name, wrong)
	} else if since := of.outdated(r.Now()); !since.IsZero() && !isWrongClock(r.Now()) {
		r.warn("revoked "+name, "%s: a revocation list should have been replaced on %s; certificates that were revoked "+
			"since then are accepted", name, since.UTC().Format(day))
	}
	return r.keep(name, PairPEM{Certificate: data}, err, "the CAs that were read before stay in use")
}

func (w *Want) Files() (names []string) {
	for i := range w.Pairs {
		names = append(names, w.Pairs[i].Cert, w.Pairs[i].keyFile())
	}
	for i := range w.Asking {
		if w.Asking[i].CAs != "" {
			names = append(names, w.Asking[i].CAs)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

const (
	// statEvery is the interval of checks for changed files (stat(2)).
	statEvery = time.Second

	// rereadEvery is the interval of reading unchanged files, because certificates expire and tickets need new secrets.
	rereadEvery = time.Hour

	// pollEvery is used instead of rereadEvery for files that only a process with more rights may read, and for
	// certificates with the addresses of the machine.
	pollEvery = 20 * time.Second
)

// The methods of Follower are safe for concurrent use.
type Follower struct {
	reread func()
	every  time.Duration
	blind  bool // this process may not check the files

	mu    sync.Mutex
	names []string
	seen  []string
	last  time.Time // time when the files were last read again
	timer *time.Timer
}

// Follow returns a Follower without files. The Follower calls reread, on a separate goroutine, when a file may have
// changed. If blind is true, this process lacks the permission to check the files, so reread is called every pollEvery.
func Follow(reread func(), blind bool) *Follower {
	f := &Follower{reread: reread, every: rereadEvery, blind: blind, last: time.Now()}
	if blind {
		f.every = pollEvery
	}
	f.timer = time.AfterFunc(statEvery, f.tick)
	return f
}

func (f *Follower) tick() {
	if f.isDue() {
		f.reread()
	}
}

func (f *Follower) isDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Reset(statEvery)
	now := statesOf(f.names)
	due := time.Since(f.last) >= f.every || !slices.Equal(now, f.seen)
	if due {
		f.seen, f.last = now, time.Now()
	}
	return due
}

// statesOf returns a text for the state of each file. The text changes with the file and its permissions; the text is
// "" for a missing file.
func statesOf(names []string) []string {
	states := make([]string, len(names))
	for i, name := range names {
		var st unix.Stat_t
		if unix.Stat(name, &st) == nil {
			states[i] = fmt.Sprint(st.Dev, st.Ino, st.Size, st.Ctim)
		}
	}
	return states
}

// Files replaces the files to follow. If auto is set (Want.Auto), the certificates also depend on the addresses of the
// machine.
func (f *Follower) Files(names []string, auto bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if auto {
		f.every = pollEvery
	}
	if !f.blind && !slices.Equal(names, f.names) {
		f.names, f.seen = names, statesOf(names)
	}
}
