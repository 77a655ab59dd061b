package plan

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/source/proxy"
)

//go:embed keys.txt
var keysText string

func KeyDocs() []settings.KeyDoc {
	help := settings.TextsByKey(keysText)
	describe := func(table string, of any) []settings.KeyDoc { return settings.DescribeKeys(table, of, help) }
	types := slices.DeleteFunc(describe("", Files{}), func(k settings.KeyDoc) bool {
		return slices.Contains(inherited, k.Key)
	})
	return slices.Concat(describe("", SiteConfig{}), types, describe("host", Host{}),
		describe("host.route", Route{}), describe("rules", TopRules{}),
		describe("rules", Rules{}),
		describe("rules", proxy.Options{}))
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
