package settings

import (
	"errors"
	"slices"
	"strings"
)

// ofServer lists the settings of the server that accepts the connections of clients. They cannot be set for an
// application with processes of its own.
var ofServer = []string{"bind", "host", "port", "backlog", "uds-permissions", "uds-owner", "forwarded-allow-ips",
	"proxy-protocol", "certfile", "keyfile", "tls", "acme-hosts", "acme-email", "acme-directory", "acme-dns-hook",
	"acme-dns-cleanup-hook", "ca-certs", "cert-reqs", "tls-min", "tls-timeout", "tls-strict-sni", "https-redirect",
	"login", "login-idle", "login-age", "http2", "h2c", "static", "index", "autoindex", "spa", "expires", "dotfiles",
	"symlinks", "mime-types", "charset", "compress", "expose", "cache-files-max", "ssi", "cache", "cache-max-size",
	"pid", "ctl-socket", "status", "health", "max-clients", "max-clients-action", "max-clients-per-address",
	"limit-request-line", "limit-request-field-size", "limit-request-head", "limit-request-fields",
	"http2-max-streams", "http2-max-window", "head-timeout", "body-timeout", "body-min-rate", "keep-alive",
	"write-timeout", "root-path", "dev", "dev-refresh", "dev-anywhere"}

// ownOfServer lists further settings that an application without a table does not share with the server: the front does
// what they say, or launches the application accordingly.
var ownOfServer = []string{"config", "chdir", "workers", "user", "group", "allow-root", "name", "reload", "reload-dir",
	"reload-include", "reload-exclude", "reload-check", "shutdown-delay", "channels", "access-log", "access-log-format",
	"error-log", "error-log-format", "log-max-size", "log-rotate", "log-keep", "log-flush", "otel"}

// ChildFlags returns the flags for a child process with the settings in entries, and these settings. The errors are
// those of ReadFile and Config. Settings of the server itself are an error, too.
func ChildFlags(f *TOMLFile, entries []TOMLValue) (flags []string, c Config, err error) {
	table := *f
	table.Top = &TOMLTable{File: f, Entries: entries}
	s, _ := New(nil, func(string) (string, bool) { return "", false })
	wrong := []error{s.ReadFile(&table, nil)}
	keys := s.keys()
	for _, v := range entries {
		if row := keys[v.Key].row; row != nil && slices.Contains(ofServer, row.Name) {
			wrong = append(wrong, v.Errorf("%s is a setting of the whole server: move it to the top of the file", v.Key))
		}
	}
	c, err = s.Config()
	return s.flags("channels"), c, errors.Join(append(wrong, err)...)
}

// ForChild returns the flags for an application of the server that runs in a process of its own, and the settings of s.
// Relative paths start at dir.
func (s *Settings) ForChild(dir string) (flags []string, c Config) {
	own := s.Clone()
	own.Anchor(dir)
	c, _ = own.Config() // callers have reported the mistakes
	return own.flags(slices.Concat(ofServer, ownOfServer)...), c
}

// flags returns a flag for each setting that has no default value, without those in omitted.
func (s *Settings) flags(omitted ...string) (flags []string) {
	for _, row := range settingsOf(&s.conf) {
		if s.from[row.Name].Level > FromDefault && !slices.Contains(omitted, row.Name) {
			flags = append(flags, "--"+row.Name+"="+row.value.show())
		}
	}
	return flags
}

// ChildEnvironment returns the variables of environ without those that are meant for the server itself: its settings,
// its sockets and its service manager.
func ChildEnvironment(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		for _, prefix := range []string{"FAPWS_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET", "PYTHONHOME"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		if strings.HasPrefix(name, "_FAPWS_") {
			return name != "_FAPWS_PACKAGE"
		}
		return slices.ContainsFunc(table(), func(s *Setting) bool { return s.Env == name })
	})
}
