package worker

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// An Instance holds the pid file, the control socket and the certificate orders of the process that receives the
// signals. The Instance of a worker is empty and does nothing.
type Instance struct {
	Passed   Passed
	Notifier *process.Notifier
	PidPath  string
	Pid      atomic.Pointer[process.PIDFile]
	Control  atomic.Pointer[ctl.Socket]
	Orders   atomic.Pointer[certificates.Orders] // nil if this process orders no certificates
	log      func(logfile.Level, string)
	Warning  string
	Left     *Left // what the previous program of this process has left; nil if there was none
}

// LogTo sets the log, and logs the warning that arose before the log was set, if any.
func (f *Instance) LogTo(log func(logfile.Level, string)) {
	f.log = log
	if f.Warning != "" {
		log(logfile.Warning, f.Warning)
	}
}

func (f *Instance) WritePid() error {
	if f.PidPath == "" {
		return nil
	}
	pid, err := process.WritePIDFile(f.PidPath)
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	f.Pid.Store(pid)
	return nil
}

func (f *Instance) TakePid(files []*os.File) {
	switch {
	case len(files) == 0:
	case f.PidPath == "":
		files[0].Close()
	default:
		f.Pid.Store(process.TakeOverPIDFile(f.PidPath, files[0]))
	}
}

// Withdraw removes the pid file and the control socket, and ends the orders of certificates. Withdraw is safe for
// concurrent use and can be called more than once.
func (f *Instance) Withdraw() {
	f.Orders.Load().Close()
	if err := f.Pid.Load().Remove(); err != nil {
		f.log(logfile.Warning, err.Error())
	}
	if socket := f.Control.Load(); socket != nil {
		socket.Close()
	}
}

// Leave ends what the program that replaces this program begins again, except for the pid file, because the ID of the
// process stays the same. Leave returns the connections from ctl.Socket.Leave.
func (f *Instance) Leave() (waiting []int) {
	f.Orders.Load().Close()
	if socket := f.Control.Load(); socket != nil {
		waiting = socket.Leave()
		socket.Close()
	}
	return waiting
}

func (f *Instance) Exit(code int) {
	f.Withdraw()
	os.Exit(code)
}

func (f *Instance) LogNotifyError(err error) {
	if err != nil {
		f.log(logfile.Warning, "cannot tell the service manager: "+err.Error())
	}
}

// A failure is an error only if the settings name the socket; otherwise the server serves without a control socket.
func (f *Instance) OpenControl(conf *settings.Config, source settings.Source, server ctl.Executor) error {
	if conf.ControlSocket == ctl.Off {
		return nil
	}
	socket, err := ctl.Listen(conf.ControlSocket, server)
	switch {
	case err == nil:
		f.Control.Store(socket)
	case conf.ControlSocket != ctl.Auto:
		return process.ExitNotStarted("cannot create the control socket (%s): %v", source, err)
	case source.Level > settings.FromDefault:
		f.log(logfile.Warning, fmt.Sprintf("no control socket: %v", err))
	default:
		f.log(logfile.Debug, fmt.Sprintf("no control socket: %v", err))
	}
	return nil
}

type Shown struct {
	pool.Settled
	Addrs []Address
}

// Report returns a report for the control socket with the facts about the whole server.
func (shown *Shown) Report(p *plan.Plan, start time.Time) ctl.Report {
	r := ctl.Report{
		PID:     os.Getpid(),
		App:     shown.App,
		Site:    p.Place(),
		Version: process.Version,
		Python:  shown.Python,
		Mode:    BannerMode(&shown.Config),
		Uptime:  time.Since(start).Seconds(),
	}
	if path, print := p.OwnCA(&shown.Config); print != "" {
		r.CA = &ctl.OwnCA{Path: path, SHA256: print}
	}
	for _, addr := range shown.Addrs {
		r.Addresses = append(r.Addresses, bannerURL(addr))
	}
	return r
}

type Address struct {
	net.Addr
	Secure bool
}

func BannerOf(listeners []*conn.Listener) []Address {
	addrs := make([]Address, len(listeners))
	for i, ln := range listeners {
		addrs[i] = Address{ln.Addr(), ln.Secure}
	}
	return addrs
}

// Banner returns the text that fapws prints when it starts to serve: the version of Python, the mode, the addresses and
// the application. If the server requires no password, Banner warns of addresses that other machines can reach. workers
// is the number of workers as text, or "" without a supervisor.
func (shown *Shown) Banner(workers string, colors bool) string {
	return shown.banner(workers, colors, localAddresses())
}

func (shown *Shown) banner(workers string, colors bool, local []netip.Addr) string {
	var urls, others []string
	for _, a := range shown.Addrs {
		url, more := urlsOf(a, local)
		urls, others = append(urls, url), append(others, more...)
	}
	how := "without Python"
	if shown.Python != "" {
		how = "Python " + shown.Python
		if shown.Venv != "" && shown.Venv != "off" {
			how += " in " + shown.Venv
		}
		how += ", " + BannerMode(&shown.Config)
	}
	if workers != "" {
		how += ", " + workers
	}
	const bold, dim, yellow = "1", "2", "33" // ECMA-48 §8.3.117 (SGR)
	var banner strings.Builder
	line := func(format, text string) {
		if colors {
			text = "\x1b[" + format + "m" + text + "\x1b[0m"
		}
		banner.WriteString(text + "\n")
	}
	line(dim, fmt.Sprintf("fapws %s, %s, pid %d", process.Version, how, os.Getpid()))
	for _, url := range urls {
		line(bold, "  "+url)
	}
	if others != nil {
		line(dim, "  "+strings.Join(others, "  ")+"  on the network")
	}
	line(dim, "  "+shown.Served)
	if shown.Open && slices.ContainsFunc(shown.Addrs, isPublic) {
		line(yellow, "  open to the network without a password; -b 127.0.0.1 serves this machine only")
	}
	return banner.String()
}

func URLs(addrs []Address) string {
	urls := make([]string, len(addrs))
	for i, a := range addrs {
		urls[i] = bannerURL(a)
	}
	return strings.Join(urls, " ")
}

func bannerURL(a Address) string {
	url, _ := urlsOf(a, nil)
	return url
}

func isPublic(a Address) bool {
	tcp, ok := a.Addr.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}

func BannerMode(conf *settings.Config) string {
	switch {
	case conf.Fork:
		return fmt.Sprintf("a process for each request, up to %d", conf.Forks())
	case conf.Threads == 0:
		return "inline"
	case conf.Threads == 1:
		return "1 thread"
	}
	return fmt.Sprintf("up to %d threads", conf.Threads)
}

// urlsOf returns a URL for a listener at the address a. The URL works on this machine. If a is a wildcard address, the
// result urls contains URLs that work on other machines.
func urlsOf(a Address, local []netip.Addr) (url string, urls []string) {
	tcp, ok := a.Addr.(*net.TCPAddr)
	if !ok {
		return a.Network() + ":" + a.String(), nil
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if !ip.IsUnspecified() && ip.IsValid() {
		return httpURL(a.Secure, ip, tcp.Port), nil
	}
	for _, other := range local {
		if other.Is4() || ip.Is6() {
			urls = append(urls, httpURL(a.Secure, other, tcp.Port))
		}
	}
	return httpURL(a.Secure, netip.AddrFrom4([4]byte{127, 0, 0, 1}), tcp.Port), urls
}

func httpURL(secure bool, ip netip.Addr, port int) string {
	u, usual := url.URL{Scheme: "http", Host: netip.AddrPortFrom(ip, uint16(port)).String(), Path: "/"}, ":80"
	if secure {
		u.Scheme, usual = "https", ":443"
	}
	u.Host = strings.TrimSuffix(u.Host, usual)
	return u.String()
}

// localAddresses returns up to two addresses by which other machines may reach this machine, IPv4 first.
func localAddresses() []netip.Addr {
	const enough = 2
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, a := range all {
		network, err := netip.ParsePrefix(a.String())
		if ip := network.Addr().Unmap(); err == nil && ip.IsGlobalUnicast() { // neither loopback nor link-local
			found = append(found, ip)
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return found[:min(len(found), enough)]
}
