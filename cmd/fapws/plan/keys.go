package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/source/proxy"
)

// KeyDocs returns descriptions of the keys of a configuration file that are not settings, for the man page and
// docs/settings.md.
func KeyDocs() []settings.KeyDoc {
	types := slices.DeleteFunc(settings.DescribeKeys("", Files{}), func(k settings.KeyDoc) bool { return slices.Contains(inherited, k.Key) })
	return slices.Concat(settings.DescribeKeys("", SiteConfig{}), types, settings.DescribeKeys("host", Host{}), settings.DescribeKeys("host.route", Route{}),
		settings.DescribeKeys("rules", TopRules{}), settings.DescribeKeys("rules", Rules{}), settings.DescribeKeys("rules", proxy.Options{}))
}

// ErrorPages are pages by the status that they are for: a path below the root,
// or a URL.
type ErrorPages map[int]string

// FromFile implements settings.TableReader.
func (e *ErrorPages) FromFile(v settings.TOMLValue) error {
	var pairs settings.Pairs
	if err := pairs.FromFile(v); err != nil {
		return err
	}
	*e = ErrorPages{}
	for _, p := range pairs {
		status, err := strconv.Atoi(p.Name)
		if err != nil || status < 400 || status > 599 {
			return fmt.Errorf("pages for statuses from 400 to 599, not %q", p.Name)
		}
		if !strings.HasPrefix(p.Value, "/") && !strings.HasPrefix(p.Value, "http://") && !strings.HasPrefix(p.Value, "https://") {
			return fmt.Errorf("paths that begin with a slash, or URLs, not %q", p.Value)
		}
		(*e)[status] = p.Value
	}
	return nil
}

// Networks are addresses of clients: "10.0.0.0/8", "::1", "all".
type Networks []netip.Prefix

// FromFile implements settings.TableReader.
func (n *Networks) FromFile(v settings.TOMLValue) error {
	list, err := v.Strings()
	if err != nil {
		return err
	}
	for _, one := range list {
		networks, err := settings.ParseNetworks(one, "all")
		if err != nil {
			return fmt.Errorf(`addresses, networks such as "10.0.0.0/8", or "all", not %q`, one)
		}
		*n = append(*n, networks...)
	}
	if len(list) == 0 && v.Key == "allow" { // it would be no rule, and let everyone in
		return errors.New(`addresses, networks such as "10.0.0.0/8", or "all", at least one of them`)
	}
	return nil
}
