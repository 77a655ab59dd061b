package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/source/proxy"
)

func KeyDocs() []settings.KeyDoc {
	types := slices.DeleteFunc(settings.DescribeKeys("", Files{}), func(k settings.KeyDoc) bool {
		return slices.Contains(inherited, k.Key)
	})
	return slices.Concat(settings.DescribeKeys("", SiteConfig{}), types, settings.DescribeKeys("host", Host{}),
		settings.DescribeKeys("host.route", Route{}), settings.DescribeKeys("rules", TopRules{}),
		settings.DescribeKeys("rules", Rules{}),
		settings.DescribeKeys("rules", proxy.Options{}))
}

type Networks []netip.Prefix

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
	if len(list) == 0 && v.Key == "allow" { // an empty list would allow everyone
		return errors.New(`addresses, networks such as "10.0.0.0/8", or "all", at least one of them`)
	}
	return nil
}
