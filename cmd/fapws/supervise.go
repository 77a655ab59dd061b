package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"fapws/cmd/fapws/banner"
	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/presence"
	"fapws/cmd/fapws/privilege"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime"
)

// overseer is the process of a supervisor. It knows the settings as flags and
// environment have them, until a worker tells those of the script.
type overseer struct {
	plan     *plan.Plan
	again    bool   // a reload is under way; of event
	kept     string // settings that sayKept has told of; of event
	conf     settings.Config
	stderr   io.Writer
	log      *logs.Logger
	errors   logs.ErrorLog
	front    *presence.Presence
	memory   memory.Trimmer
	identity *privilege.Identity // to run as; nil: as it is
	sockets  runtime.ListenOptions
	settled  worker.Settled // of the first worker
	early    []pool.Address // until the first worker has loaded
	served   []pool.Address // once they are
	names    []string       // that they were opened as

	earlyNames []string
	sup        *pool.Pool

	mu    sync.Mutex      // of what the control socket shows
	shown settings.Config // as far as it is known
	addrs []net.Addr      // once something serves on them
}

// show and seen keep what the control socket shows. Any goroutine.
func (v *overseer) show(conf settings.Config, addrs []net.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shown, v.addrs = conf, addrs
}

func (v *overseer) seen() (settings.Config, []net.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shown, v.addrs
}

// OpenControl makes the control socket, as the user that this process runs as.
func (v *overseer) openControl() error {
	return v.front.OpenControl(&v.conf, v.plan.Settings.Source("ctl-socket"), together{v})
}

// runSupervisor supervises workers until told to stop, and returns the exit code. front is
// what others know the server by.
func runSupervisor(p *plan.Plan, front *presence.Presence, stderr io.Writer) (code int, err error) {
	v := &overseer{plan: p, conf: p.Conf, front: front, stderr: stderr}
	if err := v.findIdentity(); err != nil {
		return 0, err
	}
	if v.identity != nil {
		logs.Give(v.logNames(), v.identity.Credential(), logs.New(stderr, v.conf.LogLevel, v.conf.LoopDebug))
	}
	if err := v.errors.Open(&v.conf, v.followers); err != nil {
		return 0, err
	}
	if code, err = v.run(); err != nil {
		return v.errors.Report(stderr, err), nil
	}
	return code, nil
}

// run supervises until told to stop, and returns the exit code.
func (v *overseer) run() (code int, err error) {
	v.log = v.errors.Logger(v.stderr, &v.conf)
	v.front.LogTo(v.log.Log)
	v.memory.TrimHeap = pybridge.TrimHeap
	handover, err := pool.Inherited()
	if err != nil {
		return 0, exit.NotStarted("%v", err)
	}
	if v.sockets, err = bind.Options(&v.conf); err != nil {
		return 0, err
	}
	folder, err := v.workerFolder()
	if err != nil {
		return 0, err
	}
	bind.KeepFromWorkers(v.conf.Bind)
	sup := pool.New(pool.Options{
		Program:     v.plan.Start.Program,
		Args:        os.Args,
		Dir:         folder,
		Workers:     v.workers(),
		LoadTimeout: v.conf.LoadTimeout,
		MaxRSS:      v.conf.MaxRSS,
		Stay:        v.conf.Reload || v.conf.Dev,
		Open:        v.open,
		Up:          v.up,
		Attributes:  v.attributes,
		Event:       v.event,
		BeforeExec:  v.beforeExec,
		FailurePage: v.failurePage(),
		Reopen:      func() { v.errors.Follow() },
		PassStderr:  v.errors.Redirected() && v.conf.Chroot != "",
		Log:         v.log.Log,
	})
	v.mu.Lock()
	v.sup = sup
	v.mu.Unlock()
	v.show(v.conf, nil)
	if handover != nil && handover.Settled != nil {
		if err := json.Unmarshal(handover.Settled.Settings, &v.settled); err != nil {
			return 0, exit.NotStarted("what the program before left: %v", err)
		}
		if err := v.front.TakePid(handover.Files()); err != nil {
			return 0, exit.NotStarted("%v", err)
		}
	}
	if v.identity == nil || handover != nil {
		if err := v.openControl(); err != nil {
			return 0, err
		}
	}
	watcher, err := v.watchFiles()
	if err != nil {
		v.front.Withdraw()
		return 0, err
	}
	defer watcher.Close()
	if handover == nil {
		if err := v.bindEarly(); err != nil {
			v.front.Withdraw()
			return 0, err
		}
		defer v.dropEarly()
	}
	caught := pool.Catch(handover)
	err = v.sup.Run(caught, handover)
	removeSocketFiles(v.served, v.log)
	v.front.Withdraw()
	var start *pool.StartError
	if errors.As(err, &start) {
		return 0, &exit.Error{Code: start.Code, Text: start.Line}
	}
	return exit.OK, err
}

// logNames are the log files that workers will write to, as far as they are known
// before the script is.
func (v *overseer) logNames() []string {
	return append([]string{v.conf.AccessLog, v.conf.ErrorLog}, v.plan.Site.LogFiles()...)
}

// followers makes the workers open the error log anew.
func (v *overseer) followers() {
	v.mu.Lock()
	sup := v.sup
	v.mu.Unlock()
	if sup != nil { // else there are no workers yet
		sup.Reopen()
	}
}

// open is pool.Options.Open: all that only the user who started the
// server may do. Of what the worker says it takes no more than a script may
// set: others run it, perhaps, as a user who may do less.
func (v *overseer) open(first *pool.Settled) (addresses []pool.Address, err error) {
	defer func() {
		if err != nil {
			removeSocketFiles(addresses, v.log)
			addresses = nil
		}
		var f *exit.Error
		if errors.As(err, &f) {
			err = &pool.StartError{Code: f.Code, Line: f.Text}
		}
	}()
	if err := json.Unmarshal(first.Settings, &v.settled); err != nil {
		return nil, err
	}
	v.log.SetLevel(v.settled.LogLevel, v.settled.LoopDebug)
	if err := v.front.WritePid(); err != nil {
		return nil, err
	}
	options := v.sockets
	options.Backlog = v.settled.Backlog
	names, err := v.front.Passed.Addresses(&v.settled.Config, v.settled.BindFrom, v.log.Log)
	if err != nil {
		return nil, err
	}
	if v.served != nil && slices.Equal(names, v.names) {
		return v.served, nil // a stand-in has them
	}
	if addresses = v.takeEarly(names, options.Backlog); addresses == nil {
		if addresses, err = v.bind(names, options); err != nil {
			return addresses, err
		}
	}
	if v.identity != nil && v.served == nil {
		if c := v.identity.Credential(); c != nil {
			ctl.Prepare(c)
		}
		if err := v.identity.Assume(v.conf.Chroot != ""); err != nil {
			return addresses, exit.NotStarted("%v", err)
		}
		if err := v.openControl(); err != nil {
			return nil, err
		}
	}
	v.served, v.names = addresses, names
	return addresses, nil
}

// failurePage is pool.Options.FailurePage of who develops.
func (v *overseer) failurePage() func(string, []byte) string {
	if !v.conf.Dev {
		return nil
	}
	return func(how string, said []byte) string {
		return string(failurePage(filepath.Base(v.plan.Label(&v.conf)), how, said))
	}
}

// up is pool.Options.Up.
func (v *overseer) up(addresses []pool.Address, resumed bool) {
	v.memory.Started()
	v.served = addresses
	addrs := socketAddrs(addresses)
	v.show(v.settled.Config, addrs)
	v.front.LogNotifyError(v.front.Notifier.Ready("serving " + banner.URLs(addrs)))
	go v.front.Notifier.Watch(context.Background(), v.answering)
	if resumed {
		return
	}
	if v.log.Shows(runtime.LevelInfo) {
		fmt.Fprint(v.errors.People(v.stderr), &banner.Server{
			Addrs:  addrs,
			Served: v.settled.Served,
			Python: banner.InVenv(v.settled.Python, &v.settled.Config),
			Mode:   banner.Mode(&v.settled.Config) + ", " + pool.Count(v.workers(), "worker"),
			Open:   v.plan.IsOpen(&v.settled.Config),
		})
	}
}

// workers is how many processes are to serve.
func (v *overseer) workers() int {
	if v.conf.Workers == 0 {
		return goruntime.NumCPU()
	}
	return v.conf.Workers
}

// answering says whether the watchdog may be told that all is well: somebody
// answers. One worker that hangs does not speak for the others, and while none
// serves it is up to the supervisor, which looks for new ones.
func (v *overseer) answering(ctx context.Context) error {
	if err := v.sup.Ping(ctx); err != nil {
		return err
	}
	serving := map[int]bool{}
	for _, w := range v.sup.Status().Workers {
		if w.State == pool.Serving {
			serving[w.Pid] = true
		}
	}
	if len(serving) == 0 {
		return nil
	}
	for _, reply := range v.sup.Ask(ctx, worker.AskAlive) {
		if serving[reply.Pid] && reply.Text == worker.Alive {
			return nil
		}
	}
	return errors.New("no worker answers")
}

// event is pool.Options.Event.
func (v *overseer) event(e pool.Event) {
	n := v.front.Notifier
	switch e.Kind {
	case pool.Reloading:
		v.again = true
		v.front.LogNotifyError(n.Reloading())
	case pool.Reloaded:
		v.memory.Quiet()
		if v.again {
			v.sayKept()
		}
		v.front.LogNotifyError(n.Ready(""))
	case pool.Failed:
		v.front.LogNotifyError(n.Ready(e.Text))
	case pool.StoodIn:
		addrs := socketAddrs(e.Addresses)
		v.show(v.settled.Config, addrs)
		v.log.Log(runtime.LevelInfo, "see why in a browser: "+banner.URLs(addrs))
	case pool.Stopping:
		v.front.LogNotifyError(n.Stopping())
	}
}

// beforeExec leaves to the program that takes over what this one has taken
// from the environment.
func (v *overseer) beforeExec() (left []*os.File) {
	for _, pair := range v.front.Notifier.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		os.Setenv(name, value)
	}
	if v.conf.Chroot != "" {
		if err := privilege.PassChroot(); err != nil {
			v.log.Log(runtime.LevelError, err.Error())
		}
	}
	if pid := v.front.Pid.Load().Left(); pid != nil {
		left = append(left, pid)
	}
	return left
}
