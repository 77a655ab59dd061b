package bind

import (
	"fmt"
	"strings"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/loglevel"
)

// Addresses puts the sockets that were passed in their places among the addresses of conf. source says where these
// come from. log gets a line for each socket that nothing serves.
func (a Passed) Addresses(conf *settings.Config, source settings.Source, log func(loglevel.Level, string)) ([]string, error) {
	addrs, err := a.addresses(conf.Bind, given(conf, source))
	if err != nil {
		return nil, err
	}
	if addr := firstSecure(addrs); addr != "" && !conf.HTTPS() {
		return nil, exit.Usage(fmt.Errorf("socket %s from the service manager is for HTTPS (FileDescriptorName=https), which requires a certificate: add --certfile FILE --keyfile FILE", addr))
	}
	if unused := a.unused(addrs); len(unused) > 0 {
		log(loglevel.Warning, fmt.Sprintf("ignoring socket %s from the service manager: overridden by %s",
			strings.Join(unused, " and "), source))
	}
	return addrs, nil
}

// firstSecure returns the first address for HTTPS, or "".
func firstSecure(addrs []string) string {
	for _, addr := range addrs {
		if _, secure := settings.SplitSecure(addr); secure {
			return addr
		}
	}
	return ""
}

// given reports whether the user has chosen an address.
func given(conf *settings.Config, source settings.Source) bool {
	return source.Level > settings.FromDefault || conf.Dev && !conf.DevAnywhere // on this machine only
}

// Early returns the addresses to listen on before the application is loaded, so that clients are answered, or wait in the
// queues of the kernel, instead of being refused. certain: nothing that the application says can change them, so
// an error is the user's to know now. nil if they are not known yet.
func (a Passed) Early(set *settings.Settings, conf *settings.Config, app *application.Application) (addrs []string, certain bool) {
	source := set.Source("bind")
	bind, chosen := conf.Bind, given(conf, source)
	certain = set.AddressSettled() || app == nil
	if !certain && app.HasPATHS(*conf) {
		server, found, err := settings.PeekServer(app.Source)
		changed := set.Source("host").Level > settings.FromDefault || set.Source("port").Level > settings.FromDefault
		switch {
		case err != nil || found && (changed || conf.Dev):
			return nil, false
		case found:
			bind, chosen = conf.SecureAddresses([]string{server}), true
		}
	}
	addrs, err := a.addresses(bind, chosen)
	if err != nil || firstSecure(addrs) != "" && !conf.HTTPS() {
		return nil, false // Addresses reports it
	}
	return addrs, certain
}
