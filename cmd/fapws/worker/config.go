package worker

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/http1"
	"fapws/runtime/ratelimit"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

func (s *service) config() runtime.Config {
	c := s.conf.Server
	c.Private = s.private()
	memory := s.conf.RequestMemory()
	system.SetMemory(memory)
	c.MaxUnsent = s.maxUnsent()
	c.HTTP2.MaxUnread = memory / 8 // 0 if the memory limit is unknown, so the HTTP/2 server uses its default
	c.Sites.MaxBodyMemory = min(memory/8, 96<<20)
	c.Sites.RoomyBody = roomyBody(memory)
	if s.conf.Chroot == "" { // otherwise the directory is that of the chroot, which the process may not have entered yet
		c.Sites.SpoolDir, _ = system.SpoolDir()
	}
	if memory > 0 {
		c.TLSHandshakes = int(min(mostHandshakes, max(1, memory/16/handshakeMemory)))
	}
	// A subscriber may be one event of the maximum size behind.
	c.Channels.Buffer = max(leastChannelBuffer, c.Channels.MaxEvent)
	c.OnIdle, c.OnTick = s.memory.Quiet, s.memory.Tick
	c.Log, c.Sites.LogClient, c.Sites.AccessLog = s.log.Log, s.log.LogClient, s.access
	c.Purged = s.relay.purge
	c.Programs = s.programs.Handler
	c.Inline = s.python.inline
	if anywhere := s.conf.DevAnywhere; s.conf.Dev && s.conf.Debug > 0 {
		c.Sites.Details = func(host string) bool { return anywhere || http1.LocalHost(host) }
	}
	if s.conf.Dev {
		c.Sites.Answered = append(c.Sites.Answered, s.log.Requests())
	}
	c.Sites.Trace = c.Sites.Trace || s.conf.OTel
	if s.spans != nil {
		c.Sites.Sampler, c.Sites.Answered = &s.spans.Sampler, append(c.Sites.Answered, s.spans.Answered)
	}
	if s.https.want.Load() != nil {
		c.TLS = s.https.tls.Config()
	}
	s.relay.configure(&c.Channels)
	s.role.configure(&c)
	return c
}

// SpoolWarning returns a line for the log if request bodies cannot be stored in the directory for temporary files,
// otherwise "".
func SpoolWarning(conf *settings.Config) string {
	dir, err := system.SpoolDir()
	if err == nil || conf.Chroot != "" {
		return ""
	}
	use := "and no other directory accepts them: such requests get 507"
	if dir != "" {
		use = "they are stored in " + dir
	}
	return fmt.Sprintf("cannot store large request bodies in %s: %v; %s; set TMPDIR to a directory that fapws can "+
		"write to", os.TempDir(), err, use)
}

// roomyBody returns the maximum size of a body that stays in memory until its handler has ended, in bytes, or 0 for the
// maximum of other bodies. memory is 0 if it is unknown.
func roomyBody(memory int64) int {
	if memory == 0 {
		return 8 << 20
	}
	return int(min(8<<20, max(0, memory-128<<20)/32))
}

const (
	// leastChannelBuffer is the minimum of the event data that may wait for a subscriber, in bytes.
	leastChannelBuffer = 64 << 10

	// mostHandshakes is the maximum number of TLS handshakes in progress. Handshakes may use a sixteenth of the memory;
	// handshakeMemory is what one of them needs, in bytes.
	mostHandshakes  = 1024
	handshakeMemory = 64 << 10
)

func (s *service) private() *static.Private {
	if b := cmp.Or(s.built, s.early); b != nil {
		return b.Private
	}
	return nil
}

func (s *service) maxUnsent() int64 {
	if s.conf.Server.MaxUnsent > 0 {
		return s.conf.Server.MaxUnsent
	}
	limit := uint64(s.conf.RequestMemory())
	var space unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &space) == nil {
		limit = min(limit, space.Cur/uint64(s.conf.WorkerCount()))
	}
	return int64(limit / 4)
}

// leastProcessors is the minimum value for GOMAXPROCS. If GOMAXPROCS is 1, Go's monitor thread wakes up often and
// interrupts every system call or inline handler that lasts longer than 20 µs. With a second, idle processor, the
// monitor thread waits for 10 ms instead.
const leastProcessors = 2

func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && goruntime.GOMAXPROCS(0) < leastProcessors {
		goruntime.GOMAXPROCS(leastProcessors)
	}
}

// openRates returns the table of the rate limits in p, or nil if p has none. shared is the file with the table of all
// workers, and belongs to the result. If shared is nil, openRates creates a table for this process alone.
func openRates(p *plan.Plan, shared *os.File) (t *ratelimit.Table, err error) {
	if p.Site.LimitsRates() {
		if shared == nil {
			shared, err = ratelimit.Create()
		}
		if err == nil {
			t, err = ratelimit.Open(shared)
		}
	}
	if shared != nil {
		shared.Close()
	}
	if err != nil {
		return nil, process.ExitNotStarted("%v", err)
	}
	return t, nil
}

// enterSandbox enters the sandbox if the supervisor was started with --sandbox, even if the configuration file has
// changed since then. enterSandbox is called after all files outside the sandbox were loaded.
func (s *service) enterSandbox() error {
	if os.Getenv(confine.SandboxVariable) == "" {
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

func (s *service) sandboxRules() (*confine.Rules, error) {
	conf := &s.conf
	reach := s.plan.Site.Reach()
	stored := append(reach.Uploads, Uploads(s.python.contents)...)
	for i := range stored {
		stored[i] = upload.Place(stored[i])
	}
	r := &confine.Rules{
		Read:            slices.Concat(system.Directories(), reach.Files, conf.Server.SendfileRoots, conf.SandboxRead),
		Write:           slices.Concat([]string{os.TempDir()}, stored, conf.SandboxWrite),
		Exec:            conf.SandboxExec,
		Connect:         slices.Concat(reach.Ports, conf.SandboxConnect),
		Bind:            conf.SandboxBind,
		Programs:        reach.Programs || runsPrograms(s.python.contents),
		Unix:            slices.Contains(conf.SandboxConnect, 0) || reach.Unix,
		AbstractSockets: reach.Abstract,
	}
	if s.built != nil {
		r.Read, r.Write = append(r.Read, s.built.Reads...), append(r.Write, s.built.Writes...)
	}
	for _, one := range conf.Server.AccelRoots {
		r.Read = append(r.Read, one.Root)
	}
	if r.Programs {
		r.Exec = append(slices.Clone(r.Read), r.Exec...)
	}
	var logs []string
	for _, log := range s.plan.Site.LogFiles(conf) {
		logs = append(logs, filepath.Dir(log))
	}
	r.Write = append(r.Write, logs...)
	if dir := s.https.acmeDir(); dir != "" { // the directory contains the tokens for the certificate authority
		r.Read = append(r.Read, dir)
	}
	if s.spans != nil {
		r.Connect = append(r.Connect, s.spans.Port)
	}
	app := s.python.app
	if app == nil {
		return r, nil
	}
	var paths []string
	var err error
	s.python.do(func() { paths, err = app.Paths() })
	r.Read = append(r.Read, paths...)
	for _, written := range []struct {
		what string
		dirs []string
	}{{"logs", logs}, {"uploads", stored}} {
		for _, dir := range written.dirs {
			if inside := firstInside(dir, paths); inside != "" {
				s.warnAtStart(fmt.Sprintf("sandbox: the application can change its code in %s, because %s are written to "+
					"%s; move them to a directory of their own", inside, written.what, dir))
			}
		}
	}
	return r, err
}

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

func mounts(c *pybridge.Contents) (entries []pybridge.Mount) {
	if c != nil {
		for i := range c.Apps {
			entries = append(entries, c.Apps[i].Table...)
		}
	}
	return entries
}

// Uploads returns the places of the uploads in PATHS.
func Uploads(c *pybridge.Contents) (places []string) {
	for _, m := range mounts(c) {
		if m.Upload == "" {
			continue
		}
		if o, err := upload.ParseOptions(m.Upload); err == nil && o.Path != "" {
			places = append(places, o.Path)
		}
	}
	return places
}

func runsPrograms(c *pybridge.Contents) bool {
	return slices.ContainsFunc(mounts(c), func(m pybridge.Mount) bool { return m.CGI != "" })
}
