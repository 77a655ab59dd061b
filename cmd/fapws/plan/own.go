package plan

import (
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/sites"
)

// own builds the host that the command line and the top of the file describe:
// the folders of --static, then a folder or an application.
func (b *builder) own(c *SiteConfig) sites.Site {
	h := &Host{At: c.At, Files: c.Files, Rules: Rules{TopRules: c.TopRules}, Root: c.Root, App: c.App}
	ssi := b.parts.Conf.SSI
	if ssi && c.Root == "" && len(b.parts.Conf.Static) == 0 && len(c.Hosts) == 0 {
		b.wrong(c.At.Errorf("ssi", "no directory with pages; name one as APP, or use --static PREFIX=DIR"))
	}
	if c.Root != "" && b.parts.List {
		h.Autoindex = &b.parts.List // a folder and nothing else is named in order to see its list
	}
	for _, one := range b.parts.Conf.Static {
		prefix, folder, _ := strings.Cut(one, "=")
		files := c.Files
		h.Routes = append(h.Routes, Route{At: c.At, Files: files, Prefix: Prefix(prefix), Folder: settings.KeyPath(folder), SSI: SSI{Given: ssi}})
	}
	return b.host(h)
}

// What describes in words the application or root at the top of the file and on the command line.
func (c *SiteConfig) What(conf *settings.Config) string {
	var what []string
	if c.Root != "" {
		what = append(what, "files of "+string(c.Root))
	}
	if c.App.Name != "" {
		what = append(what, c.App.Name)
	}
	if len(what) == 0 {
		what = slices.Clone(conf.Static)
	}
	return strings.Join(what, " and ")
}
