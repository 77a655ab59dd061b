package worker

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// surroundings is what surrounds a service: alone, or the Parent of a worker. Its methods are called
// on the main thread, in this order, unless stated otherwise.
type surroundings interface {
	// replacement asks for another process in the place of this one; nil where that is impossible. why is for the log.
	replacement() func(why string)

	// rereading reads certificates again and reports whether there are any; nil where another process does.
	rereading() func() bool

	// begin is called before the applications are loaded, and open afterwards. open returns the
	// listeners of a service that does not get them from elsewhere.
	begin() error
	open() ([]*conn.Listener, error)

	// answersEarly reports whether clients are to be answered while the applications load, and early returns the listeners for that,
	// as open. served is called when the server has sites.
	answersEarly() bool
	early() []*conn.Listener
	served()

	// configure and configurePython add to the settings of the loop and of Python.
	configure(*runtime.Config)
	configurePython(*pybridge.RunConfig)

	// certificates returns the contents of the files that w names.
	certificates(w *certificates.Want) (*certificates.Bundle, error)

	// control lets others ask for the state of the service, which is complete now. serving
	// tells them that it answers requests.
	control() error
	serving(addrs []Address)

	// countsRequests reports whether requests are to be counted from the start, whatever the settings say.
	countsRequests() bool

	// run is a name of this run of the server, the same in all of its processes; "": there is no other process.
	run() string

	// uploads returns the answers of the other processes of the server to a question about uploads: upload.Group.Others. It is safe
	// for concurrent use.
	uploads(question string) []string

	// status is what the status page shows.
	status() ctl.StatusSource

	// sayLastWords tells what lasts of a process that is about to end. It is called on any goroutine.
	sayLastWords()

	// Failing tells why the process ends.
	Failing(err error)

	// abandon closes what begin has opened and open has not returned. It is safe for concurrent use.
	abandon()

	// level is that of log lines about an order, and stopping the line about the one to stop.
	// They are safe for concurrent use.
	level() logfile.Level
	stopping(grace time.Duration) string
}

// relay carries what handlers publish and purge to the clients of all processes of the
// server: a localRelay, or the channelRelay of a worker. It is safe for concurrent use.
type relay interface {
	// publish may be called on the event loop.
	publish([]pybridge.Event)

	// counted takes the number of subscribers of a channel, or sockets of a group, here.
	counted(name string, n int)

	// purge purges cached responses of the other processes.
	purge(cache.Pattern)

	// flush returns when all events have been sent to other processes, or after limit.
	flush(limit time.Duration)
}

// alone is the host of a service without a supervisor, and the source of its control socket.
type alone struct {
	s      *service
	bound  Early[*conn.Listener]
	files  ownCertificates
	opened time.Time

	mu        sync.Mutex
	accepting *runtime.Server // may have listeners of bound; nil: none
	shown     settings.Config // for the control socket and the status page, as far as it is known
	addrs     []Address       // where clients are answered
}

// RunAlone serves in this process, which has no supervisor, until told to stop, and returns the exit code. instance has
// its pid file and control socket. It must be called on the main thread.
func RunAlone(p *plan.Plan, instance *Instance, stderr io.Writer) (code int, err error) {
	s := &service{plan: p, instance: instance, stderr: stderr}
	a := &alone{s: s, opened: time.Now()}
	a.bound = Early[*conn.Listener]{Open: openListeners, Close: a.close}
	a.files.s = s
	s.around, s.relay = a, newLocalRelay(s)
	if err := s.errors.Open(&p.Conf, s.followErrors); err != nil {
		return 0, err
	}
	if code, err = s.run(); err != nil {
		return s.errors.Report(stderr, err), nil
	}
	return code, nil
}

// run implements host: while the applications load, this process has other sites than afterwards, which share what depends on the run.
func (a *alone) run() string { return strconv.FormatInt(a.opened.UnixNano(), 36) }

func (a *alone) replacement() func(why string)       { return nil }
func (a *alone) rereading() func() bool              { return a.files.reread }
func (a *alone) configure(*runtime.Config)           {}
func (a *alone) configurePython(*pybridge.RunConfig) {}
func (a *alone) Failing(error)                       {}
func (a *alone) sayLastWords()                       {}
func (a *alone) countsRequests() bool                { return false }
func (a *alone) abandon()                            { a.bound.Drop() }
func (a *alone) level() logfile.Level                { return logfile.Info }

func (a *alone) stopping(grace time.Duration) string {
	return fmt.Sprintf("stopping; waiting up to %v for active requests (signal again to exit now)", grace)
}

// startMemory is the memory that Python and a small application use during a start, if none of their files is in the page cache.
// With less, the process reads the same pages of them again and again, or is killed.
const startMemory = 20 << 20

// begin listens as far as the addresses are known before the application is loaded.
func (a *alone) begin() error {
	s := a.s
	if limit := memoryLimit(); s.plan.FirstApp() != nil && limit > 0 && limit < startMemory {
		s.log.Log(logfile.Warning, fmt.Sprintf("memory limit of %d MiB: a start with Python uses %d MiB, and may hang or be killed with less; raise the limit (MemoryMax of systemd, memory limit of the container)",
			limit>>20, startMemory>>20))
	}
	if want := s.plan.Certificates(&s.conf); want != nil { // before the application is loaded
		if _, err := a.certificates(want); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	options, err := ListenOptions(&s.conf)
	if err != nil {
		return err
	}
	addrs, certain := s.instance.Passed.Early(s.plan.Settings, &s.conf, s.plan.FirstApp())
	return a.bound.Listen(addrs, certain, options)
}

// answersEarly implements host: the application is not needed to know where clients connect.
func (a *alone) answersEarly() bool { return len(a.bound.Sockets()) > 0 }

func (a *alone) early() []*conn.Listener {
	listeners := a.bound.Sockets()
	a.show(&a.s.conf, BannerOf(listeners))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepting = a.s.server
	return listeners
}

func (a *alone) served() {}

// close closes listeners, of which the server may have taken some.
func (a *alone) close(listeners []*conn.Listener) {
	a.mu.Lock()
	server := a.accepting
	a.mu.Unlock()
	for _, ln := range listeners {
		if server != nil {
			server.Unlisten(ln)
		} else {
			ln.Close()
		}
	}
}

// show and seen keep the state that the control socket and the status page show. They are safe for concurrent use.
func (a *alone) show(conf *settings.Config, addrs []Address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown, a.addrs = *conf, addrs
}

func (a *alone) seen() (conf settings.Config, addrs []Address, since time.Time, state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state = "starting"
	if a.s.complete.Load() {
		state = "serving"
	}
	return a.shown, a.addrs, a.opened, state
}

// open binds the addresses of the settings.
func (a *alone) open() (listeners []*conn.Listener, err error) {
	s := a.s
	if err := s.startAsync(); err != nil {
		return nil, err
	}
	options, err := ListenOptions(&s.conf)
	if err != nil {
		return nil, err
	}
	addrs, err := s.instance.Passed.Addresses(&s.conf, s.plan.Settings.Source("bind"), s.log.Log)
	if err != nil {
		return nil, err
	}
	listeners, err = a.bound.Take(addrs, options)
	a.show(&s.conf, BannerOf(listeners))
	return listeners, err
}

// openListeners is Early.Open.
func openListeners(addrs []string, o conn.ListenOptions) ([]*conn.Listener, error) {
	listeners, err := Listen(addrs, o)
	if err != nil {
		return nil, err
	}
	if err := keepFromChildren(listeners); err != nil {
		closeAll(listeners)
		return nil, process.ExitNotStarted("%v", err)
	}
	return listeners, nil
}

// control opens the control socket.
func (a *alone) control() error {
	s := a.s
	if err := s.instance.OpenControl(&s.conf, s.plan.Settings.Source("ctl-socket"), a); err != nil {
		return err
	}
	if socket := s.instance.Control.Load(); socket != nil {
		if err := pybridge.KeepFromChildren(socket); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	return nil
}

// serving says where requests are answered: to the user, and to the service manager, whose
// watchdog is told from now on for as long as they are.
func (a *alone) serving(addrs []Address) {
	s := a.s
	go a.watchDescriptors()
	a.files.order()
	s.instance.LogNotifyError(s.instance.Notifier.Ready("serving " + URLs(addrs)))
	go s.instance.Notifier.Watch(context.Background(), s.server.Ping)
	if s.log.Shows(logfile.Info) {
		fmt.Fprint(s.errors.People(s.stderr), &BannerServer{
			Addrs:  addrs,
			Served: s.plan.Served(s.contents, &s.conf),
			Python: InVenv(s.plan.Python(), &s.conf),
			Mode:   BannerMode(&s.conf),
			Open:   s.plan.IsOpen(&s.conf),
		})
	}
}

// descriptorsEvery is the time between two looks at the descriptors of the server.
const descriptorsEvery = 2 * time.Second

// watchDescriptors ends the process when the application has closed a descriptor without
// which no request can be answered: it would live on and be of no use. Supervisors ask
// their workers instead.
func (a *alone) watchDescriptors() {
	s := a.s
	for !s.over.Load() {
		time.Sleep(descriptorsEvery)
		err := s.server.Intact()
		if err == nil || s.over.Load() {
			continue
		}
		s.log.Log(logfile.Error, err.Error()+"; exiting, because no request can be answered")
		s.exit(process.Failed)
	}
}

func closeAll(listeners []*conn.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
