package plan

import (
	"errors"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// LogFile is the path of a log, "-" or "off".
type LogFile string

// FromFile implements settings.TableReader.
func (l *LogFile) FromFile(v settings.TOMLValue) error {
	s, ok := v.Any.(string)
	if !ok || s == "" || strings.ContainsRune(s, 0) {
		return errors.New(`the name of a file, "-" or "off"`)
	}
	if s != "-" && s != "off" {
		s = v.File.Resolve(s)
	}
	*l = LogFile(s)
	return nil
}

// LogFormat is a format of an access log.
type LogFormat string

// FromFile implements settings.TableReader.
func (l *LogFormat) FromFile(v settings.TOMLValue) error {
	s, ok := v.Any.(string)
	if !ok {
		return errors.New("a format of the access log")
	}
	if _, err := logfile.ParseFormat(s); err != nil {
		return errors.New("a format of the access log: " + err.Error())
	}
	*l = LogFormat(s)
	return nil
}

// LogFiles are the log files that hosts name.
func (c *SiteConfig) LogFiles() (paths []string) {
	for i := range c.Hosts {
		for _, path := range []LogFile{c.Hosts[i].AccessLog, c.Hosts[i].ErrorLog} {
			if path != "" {
				paths = append(paths, string(path))
			}
		}
	}
	return paths
}

// hostLogs opens the logs that a host has for itself.
func (b *builder) hostLogs(h *Host, s *sites.Site) {
	if b.parts.Logs == nil {
		return
	}
	var err error
	if h.AccessLog != "" || h.AccessLogFormat != "" {
		if s.AccessLog, err = b.parts.Logs.Access(string(h.AccessLog), string(h.AccessLogFormat)); err != nil {
			b.wrong(h.At.Errorf("access-log", "%v", err))
		}
		s.NoAccessLog = h.AccessLog == "off"
	}
	if h.ErrorLog != "" {
		if s.ErrorLog, s.ErrorLogNumber, err = b.parts.Logs.Errors(string(h.ErrorLog)); err != nil {
			b.wrong(h.At.Errorf("error-log", "%v", err))
		}
	}
	b.errors = s.ErrorLog
}

// clientLog returns the function that logs a line about a client to the error log of its host.
func (b *builder) clientLog(level logfile.Level) func(client, line string) {
	log := b.errors
	if log == nil {
		log = b.parts.LogClient
	}
	return func(client, line string) { log(level, client, line) }
}
