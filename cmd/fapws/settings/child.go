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
	for _, row := range settingsOf(&s.conf) {
		if s.from[row.Name].Level == FromFile {
			flags = append(flags, "--"+row.Name+"="+row.value.show())
		}
	}
	c, err = s.Config()
	return flags, c, errors.Join(append(wrong, err)...)
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
