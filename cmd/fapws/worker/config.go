package worker

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

// config returns the settings of the event loop.
func (s *service) config() runtime.Config {
	rate := int(min(s.conf.BodyMinRate, math.MaxInt))
	if rate == 0 {
		rate = -1
	}
	c := runtime.Config{
		Private: s.private(),
		Limits: http1.Limits{
			RequestLine: s.conf.MaxLine,
			FieldLine:   s.conf.MaxField,
			Head:        s.conf.MaxHead,
			Fields:      s.conf.MaxFields,
		},
		MaxBodySize:   s.conf.MaxBodySize,
		MaxClients:    s.conf.MaxClients,
		Refuse:        s.conf.MaxClientsAction == "503",
		HeadTimeout:   s.conf.HeadTimeout,
		BodyTimeout:   s.conf.BodyTimeout,
		BodyRate:      rate,
		KeepAlive:     s.conf.KeepAlive,
		WriteTimeout:  s.conf.WriteTimeout,
		MaxUnsent:     s.maxUnsent(),
		MaxUnread:     maxUnread(memoryLimit(), int64(s.conf.HTTP2ConnectionWindow)),
		StartWait:     s.conf.StartWait,
		Timeout:       s.conf.Timeout,
		ProxyProtocol: s.conf.ProxyProtocol,
		RootPath:      s.conf.RootPath,
		SendfileRoots: s.conf.SendfileRoots,
		AccelRoots:    accelRoots(s.conf.AccelRoots),
		Debug:         s.conf.LoopDebug,
		Trace:         s.conf.Trace,
		AccessLog:     s.access,
		Log:           s.log.Log,
		LogClient:     s.log.LogClient,
		OnIdle:        s.memory.Quiet,
		CacheSize:     s.conf.CacheMaxSize,

		H2C:          s.conf.H2C,
		HTTP2Streams: s.conf.HTTP2MaxStreams,
		HTTP2Resets:  s.conf.HTTP2MaxResets,
		HTTP2Window:  s.conf.HTTP2MaxWindow,

		HTTP2ConnectionWindow: s.conf.HTTP2ConnectionWindow,

		WebSocketMaxSize:     s.conf.WebSocketMaxSize,
		WebSocketPing:        orNever(s.conf.WebSocketPing),
		WebSocketPingTimeout: orNever(s.conf.WebSocketPingTimeout),
		NoWebSocketDeflate:   !s.conf.WebSocketDeflate,

		Channels: live.StreamConfig{
			Subscribers: s.conf.ChannelSubscribers,
			PerAddress:  s.conf.ChannelPerAddress,
			Buffer:      s.conf.ChannelBuffer,
			History:     s.conf.ChannelHistory,
			Heartbeat:   s.conf.ChannelHeartbeat,
			Retry:       s.conf.ChannelRetry,
			MaxEvent:    s.conf.ChannelMaxEvent,
		},
	}
	if s.sleeper != nil {
		c.Needed = s.sleeper.need
	}
	if s.want != nil {
		c.TLS, c.TLSTimeout, c.TLSHandshakes = s.tls.Config(), s.conf.TLSTimeout, s.conf.TLSMost
	}
	if c.Channels.History == 0 {
		c.Channels.History = -1
	}
	c.Purged = s.relay.purge
	s.useChannels(&c.Channels)
	s.host.configure(&c)
	if s.conf.Dev {
		c.Answered = s.log.Requests()
	}
	c.Programs = s.programs.Handler
	c.RefuseUnknownHosts = s.plan.Site.UnknownHost == "421"
	c.Proxies, c.ProxyUnix = proxies(s.conf.Proxies)
	return c
}

// private returns the files that no site serves; nil: there are no sites yet.
func (s *service) private() *static.Private {
	switch {
	case s.built != nil:
		return s.built.Private
	case s.early != nil:
		return s.early.Private
	}
	return nil
}

// memoryLimit returns how many bytes of memory this process can use at most; 0: not known. It is asked several times in a start.
var memoryLimit = sync.OnceValue(func() int64 { return confine.MemoryLimit(os.DirFS("/")) })

// maxUnsent returns runtime.Config.MaxUnsent; 0: its default.
func (s *service) maxUnsent() int64 {
	if s.conf.MaxUnsent > 0 {
		return s.conf.MaxUnsent
	}
	workers := s.conf.Workers
	if workers == 0 {
		workers = Processors()
	}
	limit := uint64(memoryLimit())
	var space unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &space) == nil && space.Cur < limit {
		limit = space.Cur
	}
	return int64(limit) / 4 / int64(max(workers, 1))
}

// maxUnread is runtime.Config.MaxUnread where a process can use limit bytes: an eighth, up to twelve times the window of a connection. 0: the default.
func maxUnread(limit, window int64) int64 { return min(limit/8, 12*window) }

// orNever is d as the loop takes it, which has a default for 0.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// proxies turns the text that settings has checked into networks. "*" is every address.
func proxies(list []string) (networks []netip.Prefix, unix bool) {
	for _, one := range list {
		switch one {
		case "unix":
			unix = true
		case "*":
			unix = true
			networks = append(networks, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		default:
			prefix, err := netip.ParsePrefix(one)
			if err != nil {
				addr := netip.MustParseAddr(one).Unmap()
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
			if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
				prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
			}
			networks = append(networks, prefix.Masked())
		}
	}
	return networks, unix
}

func accelRoots(list []string) (roots []static.AccelRoot) {
	for _, one := range list {
		prefix, folder, _ := strings.Cut(one, "=")
		roots = append(roots, static.AccelRoot{Prefix: prefix, Root: folder})
	}
	return roots
}

// leastProcessors is how many goroutines Go may run at once, at least. With one,
// Go's monitor takes the processor from every system call, and inline from every
// handler, that lasts 20 µs, and looks out for the next one 6000 times a second:
// 6 % of the CPU of a JSON handler with threads, a quarter more inline, on a
// machine with one core. With an idle processor beside it, they are left alone for
// 10 ms.
const leastProcessors = 2

// useProcessors sets GOMAXPROCS, unless the environment does.
func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && goruntime.GOMAXPROCS(0) < leastProcessors {
		goruntime.GOMAXPROCS(leastProcessors)
	}
}

// Processors is the number of processors that this process and its workers may use, as the machine and its control groups
// limit it: that of workers for --workers 0.
func Processors() int { return confine.Processors(os.DirFS("/"), goruntime.NumCPU()) }

// enterSandbox does --sandbox, when everything that comes from outside has been loaded. The supervisor decides whether there
// is a sandbox, also if the configuration file says something else by now.
//
// A server that starts its loader again when a request needs it (--fork with --idle-stop) stays outside, so that the application can
// load from anywhere; each process of the application enters. Programs would be children of the server.
func (s *service) enterSandbox() error {
	if os.Getenv(confine.SandboxVariable) == "" {
		return nil
	}
	if s.startsApplication() {
		if s.plan.Site.Reach().Programs || runsPrograms(s.contents) {
			return process.ExitNotStarted("with idle-stop, sandbox is for the application only, and the server runs programs (CGI, PHP or commands in pages); remove idle-stop, sandbox or the programs")
		}
		return nil
	}
	rules, err := s.sandboxRules()
	if err == nil {
		err = confine.EnterSandbox(rules)
	}
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return nil
}

// startsApplication reports whether this process starts its application again and again.
func (s *service) startsApplication() bool { return s.conf.IdleStop > 0 && s.loader.Load() != nil }

// sandboxRules returns what this process needs from now on.
func (s *service) sandboxRules() (*confine.Rules, error) {
	conf := &s.conf
	reach := s.plan.Site.Reach()
	stored := append(reach.Uploads, uploads(s.contents)...)
	for i := range stored {
		stored[i] = upload.Place(stored[i])
	}
	r := &confine.Rules{
		Read:            slices.Concat(system.Directories(), reach.Files, conf.SendfileRoots, conf.SandboxRead),
		Write:           slices.Concat([]string{os.TempDir()}, stored, conf.SandboxWrite),
		Exec:            conf.SandboxExec,
		Connect:         reach.Ports,
		Programs:        reach.Programs || runsPrograms(s.contents),
		Unix:            conf.SandboxUnix || reach.Unix,
		AbstractSockets: reach.Abstract,
	}
	if s.built != nil {
		r.Read, r.Write = append(r.Read, s.built.Reads...), append(r.Write, s.built.Writes...)
	}
	for _, one := range conf.AccelRoots {
		_, folder, _ := strings.Cut(one, "=")
		r.Read = append(r.Read, folder)
	}
	if r.Programs { // those of CGI are in directories that are served
		r.Exec = append(slices.Clone(r.Read), r.Exec...)
	}
	var logs []string
	for _, log := range append(s.plan.Site.LogFiles(), conf.AccessLog, conf.ErrorLog) {
		if log != "-" && log != "off" {
			logs = append(logs, filepath.Dir(log))
		}
	}
	r.Write = append(r.Write, logs...)
	if dir := s.acmeDir(); dir != "" { // with the tokens that the authority asks for
		r.Read = append(r.Read, dir)
	}
	for _, port := range conf.SandboxConnect {
		r.Connect = append(r.Connect, uint16(port))
	}
	for _, port := range conf.SandboxBind {
		r.Bind = append(r.Bind, uint16(port))
	}
	if s.app == nil {
		return r, nil
	}
	var paths []string
	var err error
	s.onPython(func() { paths, err = s.app.Paths() })
	r.Read = append(r.Read, paths...)
	for what, dirs := range map[string][]string{"logs": logs, "uploads": stored} {
		for _, dir := range dirs {
			if inside := firstInside(dir, paths); inside != "" {
				s.warn(fmt.Sprintf("sandbox: the application can change its code in %s, because %s are written to %s; move them to a directory of their own", inside, what, dir))
			}
		}
	}
	return r, err
}

// firstInside returns the first of paths, absolute ones, that is dir or below it, or "".
func firstInside(dir string, paths []string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	i := slices.IndexFunc(paths, func(path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
	if i < 0 {
		return ""
	}
	return paths[i]
}

// uploads returns the directories, files and devices that the entries of PATHS store uploads in.
func uploads(c *pybridge.Contents) (places []string) {
	if c == nil {
		return nil
	}
	for i := range c.Apps {
		for _, m := range c.Mounts(i) {
			if m.Upload == "" {
				continue
			}
			if o, err := upload.ParseOptions(m.Upload); err == nil && o.Path != "" {
				places = append(places, o.Path)
			}
		}
	}
	return places
}

// runsPrograms reports whether an entry of PATHS is a CGIApplication.
func runsPrograms(c *pybridge.Contents) bool {
	if c == nil {
		return false
	}
	for i := range c.Apps {
		if slices.ContainsFunc(c.Mounts(i), func(m pybridge.Mount) bool { return m.CGI != "" }) {
			return true
		}
	}
	return false
}
