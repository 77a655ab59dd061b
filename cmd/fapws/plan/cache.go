package plan

import (
	"errors"
	"fmt"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
)

// Cache says which responses of a route are kept in memory: the key cache.
type Cache struct {
	At   settings.TOMLValue
	On   bool // false: nothing
	Rule cache.Rule
}

// FromFile implements settings.TableReader.
func (c *Cache) FromFile(v settings.TOMLValue) error {
	c.At = v
	switch x := v.Any.(type) {
	case bool:
		c.On = x
		return nil
	case *settings.TOMLTable:
		c.On = true
		return c.table(x)
	}
	var ttl Duration
	if ttl.FromFile(v) != nil {
		return errors.New(`true, false, a time such as "60s", or a table with ttl, stale, heuristic, vary, query, status and cookies`)
	}
	c.On, c.Rule.TTL = true, time.Duration(ttl)
	return nil
}

func (c *Cache) table(t *settings.TOMLTable) (err error) {
	keys := struct {
		TTL       Duration `key:"ttl"`
		Stale     Duration `key:"stale"`
		Heuristic Duration `key:"heuristic"`
		Vary      []string `key:"vary"`
		Query     *bool    `key:"query"`
		Status    Statuses `key:"status"`
		Cookies   Choice   `key:"cookies"`
	}{}
	settings.DecodeTOML(t, &keys, func(wrong error) {
		if err == nil {
			err = wrong
		}
	})
	c.Rule = cache.Rule{
		TTL:           time.Duration(keys.TTL),
		Stale:         time.Duration(keys.Stale),
		Heuristic:     time.Duration(keys.Heuristic),
		Vary:          keys.Vary,
		IgnoreQuery:   keys.Query != nil && !*keys.Query,
		Status:        keys.Status,
		IgnoreCookies: keys.Cookies == "ignore",
	}
	if err == nil {
		if _, bad := cache.Compile(c.Rule); bad != nil {
			err = c.At.Errorf("cache: %v", bad)
		}
	}
	return err
}

// Statuses is a list of status codes.
type Statuses []int

// FromFile implements settings.TableReader.
func (s *Statuses) FromFile(v settings.TOMLValue) error {
	list, ok := v.Any.([]settings.TOMLValue)
	if !ok {
		return errors.New("an array of status codes")
	}
	for _, one := range list {
		n, ok := one.Any.(int64)
		if !ok || n < 200 || n > 599 {
			return fmt.Errorf("an array of status codes from 200 to 599")
		}
		*s = append(*s, int(n))
	}
	return nil
}

// cache puts the rule of a route, or that of --cache, on its mounts. The rule of an entry of PATHS goes before it.
func (b *builder) cache(r *Route, mounts []sites.Mount) {
	rule := cache.Rule{}
	switch {
	case r.Cache != nil && !r.Cache.On, r.Cache == nil && !b.parts.Conf.Cache:
		return
	case r.Cache != nil:
		rule = r.Cache.Rule
	}
	rule.Compress = r.Compress == nil && b.parts.Conf.Compress || r.Compress != nil && *r.Compress
	compiled, err := cache.Compile(rule)
	if err != nil {
		b.wrong(r.At.Errorf("cache", "%v", err))
		return
	}
	for i := range mounts {
		if m := &mounts[i]; m.Cache == nil {
			m.Cache = compiled
		}
	}
}
