package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/system"
)

func (p *supervisor) findIdentity() (err error) {
	if p.conf.User == "" && p.conf.Group == "" {
		return nil
	}
	if p.identity, err = confine.LookupIdentity(p.conf.User, p.conf.Group); err != nil {
		return wrongIdentity(p.plan.Settings, err)
	}
	return p.identity.SetEnviron()
}

// wrongIdentity returns an error of LookupIdentity with the settings that name the user and the group.
func wrongIdentity(set *settings.Settings, err error) error {
	wrong := []error{err}
	if several, joined := err.(interface{ Unwrap() []error }); joined {
		wrong = several.Unwrap()
	}
	for i, one := range wrong {
		if of, ok := errors.AsType[*confine.IdentityError](one); ok {
			wrong[i] = set.Wrong(of.Setting, one)
		}
	}
	return process.ExitUsage(errors.Join(wrong...))
}

// CheckNames returns an error if the user or group of the workers cannot be used.
func CheckNames(p *plan.Plan) error {
	if p.Conf.User == "" && p.Conf.Group == "" {
		return nil
	}
	if _, err := confine.LookupIdentity(p.Conf.User, p.Conf.Group); err != nil {
		return wrongIdentity(p.Settings, err)
	}
	return nil
}

// BecomeWorker switches this process from root to the user and the directory of the workers, to check which files
// workers may read, and must be called on a locked thread.
func BecomeWorker(planned *plan.Plan) error {
	p := &supervisor{plan: planned, conf: planned.Conf}
	if err := p.findIdentity(); err != nil {
		return err
	}
	folder, err := p.workerFolder()
	if err == nil {
		err = planned.KeepStateDir()
	}
	if err == nil {
		err = p.identity.Assume(false)
	}
	if err == nil {
		err = os.Chdir(folder)
	}
	return err
}

// Workers start in the directory where fapws was started, because the command line and the configuration file may
// contain paths relative to this directory. If the user may not enter that directory, and the paths of --chdir and the
// configuration file are absolute, workers start in the directory of --chdir.
func (p *supervisor) workerFolder() (string, error) {
	if p.identity == nil {
		return p.plan.Dir, nil
	}
	refuse := func(err error, hint string) (string, error) {
		return "", process.ExitUsage(fmt.Errorf("%w; %s", err, hint))
	}
	if file := process.File(); file != "" && len(p.plan.Site.Apps()) > 0 {
		if err := p.identity.Enter(filepath.Dir(file)); err != nil {
			return refuse(err, "fapws is installed there: install it for all users, for example with ./build.sh "+
				"install --system")
		}
	}
	err := p.identity.Enter(p.plan.Dir)
	switch {
	case err == nil:
		return p.plan.Dir, nil
	case p.conf.Chdir == "":
		return refuse(err, "start fapws in another directory, or name one with --chdir")
	case !filepath.IsAbs(p.conf.Chdir):
		return refuse(err, fmt.Sprintf("--chdir %s is relative to it: use an absolute path", p.conf.Chdir))
	case p.plan.File != nil && !filepath.IsAbs(p.plan.File.Name):
		return refuse(err, fmt.Sprintf("%s is inside: move it, or pass an absolute path to --config", p.plan.File.Name))
	}
	if err := p.identity.Enter(p.conf.Chdir); err != nil {
		return refuse(err, "name another one with --chdir")
	}
	// If the supervisor has found no configuration file, workers must not search for one in their different directory.
	return p.conf.Chdir, os.Setenv("FAPWS_CONFIG", cmp.Or(p.plan.Path, "off"))
}

// Check returns the errors with which Run would refuse to start, before it opens files and addresses. Check connects to
// the broker of channels.
func Check(planned *plan.Plan) error {
	p := &supervisor{plan: planned, conf: planned.Conf}
	wrong := []error{p.findIdentity()}
	if wrong[0] == nil { // a chroot depends on the user
		_, err := p.findChroot()
		wrong = append(wrong, err)
	}
	_, err := p.missingInSandbox()
	wrong = append(wrong, err)
	if planned.Broker != nil {
		broker, err := pool.ConnectBroker(planned.Broker, "", 0, func(logfile.Level, string) {})
		if err == nil {
			broker.Close(0)
		} else {
			wrong = append(wrong, planned.Settings.Located("channels", process.ExitNotStarted("%v", err)))
		}
	}
	return settings.JoinPath(wrong...)
}

// findChroot returns the directory of --chroot without symbolic links, or "".
func (p *supervisor) findChroot() (folder string, err error) {
	switch {
	case p.conf.Chroot == "":
		return "", nil
	case !confine.MayChroot():
		err = fmt.Errorf("--chroot %s: requires root or CAP_SYS_CHROOT", p.conf.Chroot)
	case os.Geteuid() == 0 && (p.identity == nil || p.identity.UID == 0):
		err = fmt.Errorf("--chroot %s: root can escape a chroot; add --user NAME", p.conf.Chroot)
	default:
		folder, err = confine.FindChroot(p.conf.Chroot)
	}
	if err != nil {
		return "", process.ExitUsage(p.plan.Settings.Located("chroot", err))
	}
	return folder, nil
}

func (p *supervisor) prepareChroot() error {
	folder, err := p.findChroot()
	if err != nil || folder == "" {
		return err
	}
	if err := confine.FurnishChroot(folder); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return os.Setenv(confine.ChrootVariable, folder)
}

func (p *supervisor) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Credential: p.identity.Credential()}
	if p.conf.Chroot != "" {
		// the worker drops the capability before Go starts (chroot.c of package confine)
		a.AmbientCaps = []uintptr{unix.CAP_SYS_CHROOT}
	}
	return a
}

// missingInSandbox returns the restrictions of --sandbox that the kernel does not support, which are an error with
// --sandbox strict.
func (p *supervisor) missingInSandbox() (feature string, err error) {
	if !p.conf.Sandboxed() {
		return "", nil
	}
	if feature = confine.MissingInSandbox(); feature != "" && p.conf.Sandbox == "strict" {
		err = process.ExitNotStarted("--sandbox strict: this system cannot restrict %s; use --sandbox to restrict the "+
			"rest", feature)
	}
	return feature, err
}

// prepareSandbox logs the restrictions that the kernel does not support, and creates the temporary directory of the
// workers. If upgraded is true, the previous program has already created this directory.
func (p *supervisor) prepareSandbox(upgraded bool) error {
	if !p.conf.Sandboxed() {
		return os.Unsetenv(confine.SandboxVariable)
	}
	without, err := p.missingInSandbox()
	if err != nil {
		return err
	}
	if without != "" {
		p.log.Log(logfile.Warning, "sandbox: this system cannot restrict "+without)
	}
	if err := p.plan.CheckOutside(&p.conf, nil); err != nil {
		return err
	}
	if dir := os.Getenv(confine.SandboxVariable); upgraded && dir != "" {
		p.temporary = dir
		return nil
	}
	parent := os.TempDir()
	if p.conf.Chroot != "" {
		parent = filepath.Join(os.Getenv(confine.ChrootVariable), "tmp")
	}
	dir, err := os.MkdirTemp(parent, "fapws-sandbox-")
	if c := p.identity.Credential(); c != nil && err == nil {
		err = os.Chown(dir, int(c.Uid), int(c.Gid))
	}
	if err != nil {
		return process.ExitNotStarted("cannot make a directory for temporary files: %v", err)
	}
	p.temporary = dir
	if err := os.Setenv(confine.SandboxVariable, dir); err != nil {
		return err
	}
	return os.Setenv("TMPDIR", dir)
}

func openSockets(names []string, options conn.ListenOptions) (addresses []pool.NamedSocket, err error) {
	for _, name := range names {
		plain, _ := settings.SplitSecure(name)
		socket, err := conn.ListeningSocket(plain, options)
		if err != nil {
			return addresses, worker.BindFailed(plain, names, err)
		}
		addresses = append(addresses, pool.NamedSocket{Name: name, Socket: socket})
	}
	return addresses, nil
}

func (p *supervisor) bindEarly() error {
	if p.plan.Find() != nil {
		return nil // the worker reports the error
	}
	names, certain := p.instance.Passed.Early(p.plan.Settings, &p.conf, p.plan.FirstApp())
	return p.plan.Settings.Located("bind", p.early.Listen(names, certain, p.sockets))
}

func (p *supervisor) closeSockets(addresses []pool.NamedSocket) {
	for _, a := range addresses {
		a.Socket.Close()
	}
	removeSocketFiles(addresses, p.log)
}

func socketAddrs(addresses []pool.NamedSocket) (addrs []worker.Address) {
	for _, a := range addresses {
		if ln, err := conn.ListenerFromFile(a.Socket); err == nil {
			worker.SetSecure(ln, a.Name)
			addrs = append(addrs, worker.BannerOf([]*conn.Listener{ln})...)
			ln.Close()
		}
	}
	return addrs
}

func removeSocketFiles(addresses []pool.NamedSocket, log *plan.Logger) {
	for _, a := range addresses {
		switch err := conn.RemoveSocketFile(a.Name); {
		// Root has created the directory, and this process is no longer root.
		case errors.Is(err, fs.ErrPermission):
			log.Log(logfile.Info, err.Error()+"; the next start replaces it")
		case err != nil:
			log.Log(logfile.Warning, err.Error())
		}
	}
}

func (p *supervisor) connectBroker(handover *pool.Handover) (err error) {
	epoch, last := handover.Broker(p.plan.Broker.String())
	if p.broker, err = pool.ConnectBroker(p.plan.Broker, epoch, last, p.log.Log); err != nil {
		return p.plan.Settings.Located("channels", process.ExitNotStarted("%v", err))
	}
	return nil
}

func (p *supervisor) brokerMetrics() []metrics.Family {
	if p.broker == nil {
		return nil
	}
	s, up := p.broker.State(), 1.0
	if s.Away > 0 {
		up = 0
	}
	return []metrics.Family{
		metrics.One("fapws_broker_up", metrics.Gauge, "", "Whether the broker of channels answers: 1 or 0.", up),
		metrics.One("fapws_broker_waiting_events", metrics.Gauge, "", "Events that wait for the broker.", float64(s.Waiting)),
		metrics.One("fapws_broker_lost_events", metrics.Counter, "",
			"Events that were dropped because too many waited for the broker.", float64(s.Lost)),
	}
}

// templates are patterns of files that frameworks read once: an edit has no effect without a reload.
var templates = []string{"*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*.pt", "*.tpl"}

func (p *supervisor) watchFiles() error {
	if !p.conf.Reload {
		return nil
	}
	dirs := p.conf.ReloadDirs
	if len(dirs) == 0 {
		dirs = p.plan.Folders()
	}
	include := p.conf.ReloadInclude
	include = slices.Concat(include, p.plan.Archives())
	if p.plan.Path != "" {
		include = append(include, p.plan.Path)
	}
	if p.conf.Dev {
		include = slices.Concat(include, templates)
	}
	var err error
	p.watcher, err = watch.Start(watch.Options{
		Base:    p.plan.WorkDir(),
		Dirs:    dirs,
		Include: include,
		Exclude: p.conf.ReloadExclude,
		Log:     func(line string) { p.log.Log(logfile.Warning, line) },
	})
	if err != nil {
		return process.ExitUsage(err)
	}
	return nil
}

// logKept logs the settings that have changed in the configuration file but need a restart, because the supervisor uses
// them. logKept logs a setting again only if its value has changed again.
func (p *supervisor) logKept() {
	if p.plan.File == nil {
		return
	}
	later, err := p.plan.Later()
	if err != nil {
		return // the workers have reported the error, or this user may not read the file
	}
	set := later.Settings
	if set == p.plan.Settings {
		return // the workers have reported the error
	}
	p.site.Store(later.Site)
	// With the new settings, workers may be able to change more directories.
	if conf, err := set.Config(); err == nil {
		now := p.conf
		now.SandboxWrite = slices.Concat(now.SandboxWrite, conf.SandboxWrite)
		system.Distrust(append(p.plan.Changeable(&now), later.Changeable(&now)...))
	}
	if p.watcher != nil && len(p.conf.ReloadDirs) == 0 {
		p.watcher.Watch(later.Folders())
	}
	names := p.plan.Settings.Kept(set)
	if p.unused != "" {
		names = append(names, p.unused)
	}
	known := p.kept
	if p.kept = strings.Join(names, ", "); p.kept != "" && p.kept != known {
		p.log.Log(logfile.Warning, p.unchanged())
	}
}

// unchanged returns a line about the settings that need a restart (logKept), or "".
func (p *supervisor) unchanged() string {
	if p.kept == "" {
		return ""
	}
	return fmt.Sprintf("%s: changes of %s take effect after a restart", p.plan.File.Name, p.kept)
}
