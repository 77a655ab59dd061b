package worker

import (
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/conn"
	"fapws/runtime/source/app"
	"fapws/runtime/source/programs"
	"fapws/runtime/system"
)

// buildEarly makes the sites that answer clients while the applications load, with all that the configuration has beside them. Requests
// for the applications wait (sites.Mount.Pending). Where a script may change settings, and before a sandbox is entered, clients wait in
// the queue of the kernel instead. A worker that is asleep knows the settings; before a sandbox or the directory of --chroot is entered it
// answers health checks only: another program may have changed files for clients to get that it could not read itself.
func (s *service) buildEarly() error {
	confined := s.conf.Sandbox != settings.SandboxModes[0] || !s.host.answersEarly()
	asleep := s.sleeper != nil
	if s.plan.FirstApp() == nil || !asleep && (confined || !s.plan.IsSettled()) {
		return nil
	}
	s.logs.Configure(&s.conf, s.log)
	var err error
	if s.access, err = s.logs.Access("", ""); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	if err := s.useCertificates(); err != nil {
		return err
	}
	if asleep && confined {
		s.early, err = plan.Waiting(&s.conf, &s.stops)
		return err
	}
	programs := &plan.Programs{Gate: programs.NewGate(s.conf.MaxCGI, programs.DefaultWaiting), Log: s.logs.Client, Sends: plan.Sends(&s.conf)}
	parts := plan.Parts{Pending: true, Asleep: asleep, Programs: programs, Logs: &s.logs, Log: s.log.Log, Authority: s.authority, Token: s.token(), Run: s.host.run(), Stops: &s.stops, Status: s.statusPage(), Uploads: s.newUploads()}
	s.early, err = s.plan.Build(&s.conf, parts)
	return err
}

// serveEarly has them answer.
func (s *service) serveEarly() error {
	if s.early == nil {
		return nil
	}
	if s.conf.Status != "" || s.host.countsRequests() {
		s.measure()
	}
	if err := s.server.Serve(s.host.early(), s.early.Sites, nil); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	s.host.served()
	system.KeepDirectories()
	return nil
}

// use has the sites with the applications answer on the listeners.
func (s *service) use(listeners []*conn.Listener, h app.Handler) error {
	if s.early == nil {
		return s.server.Serve(listeners, s.built.Sites, h)
	}
	if err := s.server.Replace(s.built.Sites, h, s.early.Close); err != nil {
		return err
	}
	for _, ln := range listeners {
		s.server.Accept(ln)
	}
	return nil
}

// giveUp ends accepting, and answers the clients that wait for an application that has failed to load.
func (s *service) giveUp() {
	s.server.StopAccepting()
	s.server.GiveUp()
}
