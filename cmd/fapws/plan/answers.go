package plan

import (
	"fapws/runtime/route"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// redirect mounts a source that redirects clients.
func (b *builder) redirect(_ *Host, r *Route) []sites.Mount {
	to, err := static.NewRedirect(r.Redirect, r.Status)
	if err != nil {
		b.wrong(r.At.Errorf("redirect", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Source: to}}
}

// rewrite mounts a source that gives requests another path, for the routes behind it.
func (b *builder) rewrite(_ *Host, r *Route) []sites.Mount {
	to, err := route.NewRewrite(r.Rewrite)
	if err != nil {
		b.wrong(r.At.Errorf("rewrite", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Rewrite: to}}
}

// status mounts an answer that is always the same.
func (b *builder) status(_ *Host, r *Route) []sites.Mount {
	answer, err := static.NewFixed(static.FixedOptions{Status: r.Status, Body: r.Text})
	if err != nil {
		b.wrong(r.At.Errorf("status", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Source: answer}}
}
