package settings

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// devBind is the default address with Dev.
const devBind = "127.0.0.1:" + defaultPort

// settleDev sets the settings that Dev implies, as far as other settings do not
// say otherwise.
func (s *Settings) settleDev(c *Config) {
	c.LoopDebug = c.Debug
	if s.byDev("reload") {
		c.Reload = true
	}
	if s.from["bind"].Level == FromDefault && c.Dev {
		c.Bind = []string{devBind}
	}
	if s.byDev("debug") {
		c.Debug = 1
	}
}

// byDev reports whether Dev decides about a setting.
func (s *Settings) byDev(name string) bool {
	if !s.conf.Dev {
		return false
	}
	switch name {
	case "reload":
		return !s.conf.Reload
	case "bind":
		return s.from["bind"].Level == FromDefault && s.addressPart() == ""
	case "debug":
		return s.from["debug"].Level <= FromScript && s.conf.Debug == 0
	}
	return false
}

// checkDev refuses addresses that others reach: tracebacks show them the code
// and its variables.
func (s *Settings) checkDev(c *Config) error {
	if !c.Dev || c.DevAnywhere {
		return nil
	}
	for _, addr := range c.Bind {
		if !IsLocal(addr) {
			return fmt.Errorf("--dev serves this machine only, but %s (%s) is reachable from others: bind 127.0.0.1, or add --dev-anywhere", addr, s.Source("bind"))
		}
	}
	return nil
}

// IsLocal reports whether an address of Config.Bind is reached from this machine only, as far as can be told without
// a look-up.
func IsLocal(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	addr, _ = SplitSecure(addr)
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false // systemd, fd://3: anything
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
