package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime/source/upload"
	"fapws/runtime/system"
)

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
