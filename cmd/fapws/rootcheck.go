package main

import (
	"errors"
	"os"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/privilege"
	"fapws/cmd/fapws/settings"
)

// supervised says whether the settings ask for workers under a supervisor.
func supervised(set *settings.Settings, conf *settings.Config) bool {
	return set.Source("workers").Level > settings.FromDefault || conf.Reload || conf.Dev ||
		conf.MaxRequests > 0 || conf.MaxRSS > 0 || conf.User != "" || conf.Group != "" || conf.Chroot != ""
}

// errRoot refuses root on a system where another user could run the application.
var errRoot = errors.New("refusing to run as root, because every mistake of the application would be one of root: choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)")

// judgeRoot decides about a process that was started by root. Where the process would
// stay root and nothing allows that, the result is an error, or a warning on a system that leaves no choice.
func judgeRoot(conf *settings.Config) (warning string, err error) {
	if os.Geteuid() != 0 || conf.AllowRoot || !staysRoot(conf) {
		return "", nil
	}
	reason := privilege.RootReason()
	if reason == "" {
		return "", exit.Usage(errRoot)
	}
	return "running as root, because " + reason + "; choose another user with --user NAME, or silence this with --allow-root", nil
}

// staysRoot reports whether a process that was started by root would serve as root.
func staysRoot(conf *settings.Config) bool {
	if conf.User == "" {
		return true
	}
	id, err := privilege.Lookup(conf.User, conf.Group)
	return err == nil && id.UID == 0 // findIdentity reports the error
}
